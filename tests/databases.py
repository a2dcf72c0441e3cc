"""Databases for tests on a real Postgres server."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self
from uuid import uuid4

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class PostgresDatabases:
    """Databases by name, each made once and emptied for every test, and dropped in the end.

    Making and dropping one costs as much as a test does.
    """

    def __init__(self, server: str) -> None:
        self._server = make_url(server)
        self._made: dict[str, str] = {}
        # The tests' own event loop is busy with the test that asks.
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._run(self._server.database, *(f"DROP DATABASE {name} WITH (FORCE)" for name in self._made.values()))
        self._thread.shutdown()

    def of_a_test(self) -> Callable[[str], str]:
        """The URL of a database by its name, which is empty when the test first asks for it."""
        handed = dict[str, str]()

        def url(name: str) -> str:
            if name not in handed:
                handed[name] = self._empty(name)
            return handed[name]

        return url

    def _empty(self, name: str) -> str:
        if name in self._made:
            self._run(self._made[name], END_CONNECTIONS, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        else:
            database = f"test_{name}_{uuid4().hex[:12]}"
            self._run(self._server.database, f"CREATE DATABASE {database}")
            self._made[name] = database
        return self._server.set(database=self._made[name]).render_as_string(hide_password=False)

    def _run(self, database: str | None, *statements: str) -> None:
        self._thread.submit(asyncio.run, self._execute(database, statements)).result()

    async def _execute(self, database: str | None, statements: tuple[str, ...]) -> None:
        server = self._server.set(drivername="postgresql+asyncpg", database=database)
        engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))
        await engine.dispose()
