"""Databases for tests on a real Postgres server."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self
from uuid import uuid4

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine


class PostgresDatabases:
    """Makes databases by name, each fresh and once, and drops them in the end."""

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
        self._run(*(f"DROP DATABASE {name} WITH (FORCE)" for name in self._made.values()))
        self._thread.shutdown()

    def url(self, name: str) -> str:
        if name not in self._made:
            database = f"test_{name}_{uuid4().hex[:12]}"
            self._run(f"CREATE DATABASE {database}")
            self._made[name] = database
        return self._server.set(database=self._made[name]).render_as_string(hide_password=False)

    def _run(self, *statements: str) -> None:
        self._thread.submit(asyncio.run, self._execute(statements)).result()

    async def _execute(self, statements: tuple[str, ...]) -> None:
        engine = create_async_engine(self._server.set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))
        await engine.dispose()
