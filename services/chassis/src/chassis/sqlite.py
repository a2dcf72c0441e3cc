"""Private tables in an SQLite file.

Statements run on the event loop itself. SQLite answers in tens of microseconds, and handing each of
them to a thread and back costs ten times that, under load a hundred times. Nobody else writes to a
service's own file, so there is no lock to wait for.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError


class Sqlite:
    way_out = "Move it away to begin anew (embedded: `make clean`)."

    def __init__(self, url: URL) -> None:
        self.name = url.database or ""
        self._engine = create_engine(url)
        event.listen(self._engine, "connect", _tune)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def autocommit(self) -> AbstractAsyncContextManager[Connection]:
        """Begins and commits like any other: without a server in between both are cheap."""
        return self.begin()

    @asynccontextmanager
    async def begin_alone(self) -> AsyncIterator[Connection]:
        Path(self.name).parent.mkdir(parents=True, exist_ok=True)
        async with self.begin() as connection:
            # By itself Python's driver begins no transaction for what changes tables.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def explain(self, error: Exception) -> str | None:
        return f"does not answer: {error.orig}" if isinstance(error, OperationalError) else None

    async def close(self) -> None:
        self._engine.dispose()


def _tune(connection: Any, _record: Any) -> None:
    # WAL with NORMAL loses nothing when the process dies; at most the last moments when the power does.
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
