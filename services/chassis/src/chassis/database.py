"""A service's private tables: in SQLite for one process, in Postgres for replicas that share them.

The URL decides. Both take the same statements; Postgres's `insert` is the one that both understand.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from contracts.errors import DependencyUnavailable
from sqlalchemy import DateTime, MetaData, TypeDecorator, inspect, make_url, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection, CursorResult, Dialect
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import Executable

from chassis.background import keep_trying
from chassis.migrating import bring_up_to_date
from chassis.postgres import Postgres
from chassis.sqlite import Sqlite

__all__ = ["Database", "SchemaMismatch", "Transaction", "UtcDateTime", "insert"]

ALIVE = text("SELECT 1")


class SchemaMismatch(Exception):
    """The tables were made by another version of the service; the text says how they differ."""


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

    def __init__(self, connection: Connection | AsyncConnection) -> None:
        self._connection = connection

    async def execute(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """The result, with all its rows.

        `values` are for the statement's parameters, or an insert's row or rows. A statement that is run often
        is best made once and given them: making it takes longer than SQLite takes to run it.
        """
        if isinstance(self._connection, Connection):
            return self._connection.execute(statement, values)
        return await self._connection.execute(statement, values)


class Statement(Transaction):
    """One statement, which is committed as it is executed."""

    _executed = False

    async def execute(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        if self._executed:
            raise RuntimeError("two statements that belong together need a transaction")
        self._executed = True
        return await super().execute(statement, values)


class _Engine(Protocol):
    name: str
    """Which database this is, for people to read; without the password."""
    way_out: str
    """What an operator can do about tables of another version."""

    def begin(self) -> AbstractAsyncContextManager[Connection | AsyncConnection]: ...

    def autocommit(self) -> AbstractAsyncContextManager[Connection | AsyncConnection]:
        """A connection on which a statement is a transaction of its own."""

    def begin_alone(self) -> AbstractAsyncContextManager[Connection | AsyncConnection]:
        """A transaction that overlaps with no other one begun in this way."""

    def explain(self, error: Exception) -> str | None:
        """Why the database cannot serve now; None when the error is not the database's."""

    async def close(self) -> None: ...


class Database:
    """The tables at `sqlite:///…`, a file, or at `postgresql://user:password@host/database`.

    A Postgres database is the service's own, or a schema of it is, named by `?options=-csearch_path=…`.
    `migrations` is the folder of what brings tables of earlier versions up to date; without, such are refused.
    Raises `ValueError` for any other URL.
    """

    def __init__(self, url: str, tables: MetaData, migrations: Path | None = None) -> None:
        self._tables = tables
        self._migrations = migrations
        self._engine = _engine(url)
        self._is_open = False

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Makes the tables, or brings them up to date. Waits for a database that is away, however long that takes.

        Raises `SchemaMismatch`.
        """
        try:
            await keep_trying(self._prepare, f"the database {self._engine.name}")
            self._is_open = True
            yield
        finally:
            self._is_open = False
            await self._engine.close()

    async def check(self) -> None:
        """Raises `DependencyUnavailable` when the database is away, or was not opened yet."""
        async with self.statement() as tx:
            await tx.execute(ALIVE)
        if not self._is_open:
            raise DependencyUnavailable(f"the database {self._engine.name} is not open")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end, or rolls back on an error.

        Wait for nothing else inside: what it locks is locked for as long. Raises
        `DependencyUnavailable` when the database is away, or wants the transaction repeated.
        """
        with self._explained():
            async with self._engine.begin() as connection:
                yield Transaction(connection)

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Statement]:
        """A transaction for one statement only, in a third of the round trips. Raises the same."""
        with self._explained():
            async with self._engine.autocommit() as connection:
                yield Statement(connection)

    async def _prepare(self) -> None:
        with self._explained():
            async with self._engine.begin_alone() as connection:
                if isinstance(connection, Connection):
                    self._make_tables(connection)
                else:
                    await connection.run_sync(self._make_tables)

    def _make_tables(self, connection: Connection) -> None:
        if self._migrations is None:
            self._check_schema(connection)
            self._tables.create_all(connection)
        else:
            known = bring_up_to_date(connection, self._tables, self._migrations)
            self._check_schema(connection, may_have_more=not known)

    def _check_schema(self, connection: Connection, *, may_have_more: bool = False) -> None:
        """Said once and clearly, rather than by every statement that meets a missing column."""
        ours = self._tables.tables
        # A filter without names would let all through.
        known = inspect(connection).get_multi_columns(filter_names=list(ours)) if ours else {}
        for (_schema, name), columns in known.items():
            found = {column["name"] for column in columns}
            expected = set(ours[name].columns.keys())
            if expected - found or (found - expected and not may_have_more):
                raise SchemaMismatch(
                    f"{self._engine.name} is of another version: {name} has {_list(found - expected)} where "
                    f"{_list(expected - found)} is expected. {self._engine.way_out}"
                )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if (reason := self._engine.explain(error)) is None:
                raise
            raise DependencyUnavailable(f"the database {self._engine.name} {reason}") from error


def _engine(url: str) -> _Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("the address of the private tables is no database URL") from None
    if parsed.drivername == "sqlite" and parsed.database:
        return Sqlite(parsed)
    if parsed.drivername in ("postgresql", "postgres") and parsed.database:
        return Postgres(parsed)
    raise ValueError(
        f"private tables lie in a file, sqlite:///…, or in postgresql://…/…; {parsed.render_as_string()} names neither"
    )


def _list(columns: set[str]) -> str:
    return ", ".join(sorted(columns)) or "nothing"
