"""A service's private tables in SQLite.

Statements run on the event loop itself. SQLite answers in tens of microseconds, and handing each of
them to a thread and back costs ten times that, under load a hundred times. Nobody else writes to a
service's own file, so there is no lock to wait for.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.errors import DependencyUnavailable
from sqlalchemy import DateTime, MetaData, TypeDecorator, create_engine, event, inspect, make_url
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import Connection, CursorResult, Dialect
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql import Executable

__all__ = ["Database", "SchemaMismatch", "Transaction", "UtcDateTime", "insert"]


class SchemaMismatch(Exception):
    """The file was written by another version of the service; the text says how they differ."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets the zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Transaction:
    """What happens between begin and commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """The result, with all its rows. `values` are for an insert, one row or many."""
        return self._connection.execute(statement, values)


class Database:
    def __init__(self, url: str, tables: MetaData) -> None:
        self._tables = tables
        self._url = make_url(url)
        if self._url.get_backend_name() != "sqlite" or not self._url.database:
            raise ValueError(f"private tables lie in an SQLite file; {self._url.render_as_string()} names none")
        self._engine = create_engine(self._url)
        event.listen(self._engine, "connect", _tune)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        Path(self._url.database or "").parent.mkdir(parents=True, exist_ok=True)
        self._check_schema()
        self._tables.create_all(self._engine)
        try:
            yield
        finally:
            self._engine.dispose()

    def _check_schema(self) -> None:
        """Said once and clearly, rather than by every statement that meets a missing column."""
        there = inspect(self._engine)
        for name in set(self._tables.tables) & set(there.get_table_names()):
            found = {column["name"] for column in there.get_columns(name)}
            expected = set(self._tables.tables[name].columns.keys())
            if found != expected:
                raise SchemaMismatch(
                    f"{self._url.database} is of another version: {name} has {_list(found - expected)} where "
                    f"{_list(expected - found)} is expected. Move it away to begin anew (embedded: `make clean`)."
                )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end, or rolls back on an error.

        Wait for nothing else inside: the file is locked for as long. Raises `DependencyUnavailable`
        when the file cannot be read or written.
        """
        try:
            with self._engine.begin() as connection:
                yield Transaction(connection)
        except OperationalError as error:
            raise DependencyUnavailable(f"the database does not answer: {error.orig}") from error


def _list(columns: set[str]) -> str:
    return ", ".join(sorted(columns)) or "nothing"


def _tune(connection: Any, _record: Any) -> None:
    # WAL with NORMAL loses nothing when the process dies; at most the last moments when the power does.
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
