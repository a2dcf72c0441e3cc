"""Private tables in a Postgres database that replicas share, by asyncpg."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, NullPool, event, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

CONNECTIONS = 5
FREE_WITHIN_SECONDS = 10
CONNECT_WITHIN_SECONDS = 5
STATEMENT_SECONDS = 10
ANSWER_WITHIN_SECONDS = STATEMENT_SECONDS + 2
"""For a server that is gone without a word and can no longer keep its own time limit."""

ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(7305794113)")
"""Any number will do, as long as all replicas take the same."""

REASONS = {
    "08": "has lost the connection",
    "25": "cannot go on with the transaction",
    "28": "does not let us in",
    "3D": "is not there",
    "3F": "has no such schema",
    "40": "wants the transaction repeated",
    "42501": "does not allow it",
    "53": "has run out of something",
    "55": "is busy",
    "57014": "took too long",
    "57": "is shutting down or starting",
    "58": "has trouble with its disk or machine",
}
"""What may be different later, by SQLSTATE or the class that it begins with. Anything else is a bug of ours."""


class Postgres:
    way_out = "Move its tables away to begin anew."

    def __init__(self, url: URL) -> None:
        self.name = f"{url.database} at {url.host or 'localhost'}:{url.port or 5432}"
        # asyncpg reads the rest of the URL as libpq does, TLS and schema included. What libpq alone
        # knows it would hand to the server, which then refuses to talk.
        dsn = url.difference_update_query(["channel_binding"]).render_as_string(hide_password=False)
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            connect_args=_connect_args(dsn, ANSWER_WITHIN_SECONDS, {"statement_timeout": f"{STATEMENT_SECONDS}s"}),
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=FREE_WITHIN_SECONDS,
        )
        # A large table takes long to change. Nobody may wait for long behind one who waits for a lock on it.
        self._unhurried = create_async_engine(
            "postgresql+asyncpg://",
            connect_args=_connect_args(dsn, None, {"statement_timeout": "0", "lock_timeout": f"{STATEMENT_SECONDS}s"}),
            poolclass=NullPool,
        )
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)
        event.listen(self._engine.sync_engine, "before_cursor_execute", _without_nul, retval=True)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        async with self._autocommit.connect() as connection:
            yield connection

    @asynccontextmanager
    async def begin_alone(self) -> AsyncIterator[AsyncConnection]:
        async with self._unhurried.begin() as connection:
            await connection.execute(ONE_AT_A_TIME)
            yield connection

    def explain(self, error: Exception) -> str | None:
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = str(getattr(cause, "sqlstate", None) or "")
        if reason := REASONS.get(code) or REASONS.get(code[:2]):
            return f"{reason}: {_text(cause)}"
        if isinstance(error, NoneFree):
            return f"keeps all {CONNECTIONS} connections busy"
        if isinstance(cause, TimeoutError):
            return "does not answer in time"
        if isinstance(cause, OSError):
            return f"cannot be reached: {_text(cause)}"
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return "has lost the connection"
        return None

    async def close(self) -> None:
        await self._engine.dispose()


def _connect_args(dsn: str, answer_within: float | None, server_settings: dict[str, str]) -> dict[str, Any]:
    return {
        "dsn": dsn,
        "timeout": CONNECT_WITHIN_SECONDS,
        "command_timeout": answer_within,
        "server_settings": {
            "application_name": "movie-tasks",
            # A replica that was cut off must not hold up the others.
            "idle_in_transaction_session_timeout": f"{STATEMENT_SECONDS}s",
            **server_settings,
        },
    }


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """A server that went has closed its connections, and asyncpg has seen it: then the whole pool is of no use.

    The pool's own way to find out, a ping before every use, would double what a short transaction costs.
    """
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


def _text(error: BaseException | None) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _without_nul(
    _connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool
) -> tuple[str, Any]:
    """Text comes from anywhere, and NUL is the one character that Postgres cannot hold."""
    return statement, [_clean(row) for row in values] if many else _clean(values)


def _clean(row: tuple[Any, ...]) -> tuple[Any, ...]:
    if any(isinstance(value, str) and "\0" in value for value in row):
        return tuple(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row)
    return row
