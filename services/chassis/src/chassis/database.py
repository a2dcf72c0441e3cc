"""A service's private tables: one asynchronous SQLAlchemy engine, SQLite or Postgres by URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.errors import DependencyUnavailable
from sqlalchemy import DateTime, MetaData, TypeDecorator, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets the zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Database:
    def __init__(self, url: str, tables: MetaData) -> None:
        self._tables = tables
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_async_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
        if parsed.get_backend_name() == "sqlite":
            event.listen(self._engine.sync_engine, "connect", _tune_sqlite)

        # Both dialects know ON CONFLICT, each by an `insert` of its own.
        self.insert = sqlite.insert if parsed.get_backend_name() == "sqlite" else postgresql.insert

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        async with self._available(), self._engine.begin() as connection:
            await connection.run_sync(self._tables.create_all)
        try:
            yield
        finally:
            await self._engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session that commits at the end, or rolls back on an error.

        Raises `DependencyUnavailable` when the database does not answer.
        """
        async with self._available(), AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def _available(self) -> AsyncIterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise DependencyUnavailable(f"the database does not answer: {error.orig}") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise DependencyUnavailable(f"the connection to the database broke: {error.orig}") from error
            raise


def _tune_sqlite(connection: Any, _record: Any) -> None:
    # WAL with NORMAL loses nothing when the process dies; at most the last moments when the power does.
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
