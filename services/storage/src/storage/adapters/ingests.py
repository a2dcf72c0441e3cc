"""Results that wait to be stored, as a table."""

from collections.abc import Sequence
from datetime import datetime

from chassis.database import Database, UtcDateTime
from sqlalchemy import ColumnElement, and_, delete, func, or_, update
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel, col, select

from storage.ports import Ingest


class Table(SQLModel, registry=registry()):
    """Base of this service's tables: services that share a process do not share metadata."""


class IngestRow(Table, table=True):
    __tablename__ = "ingests"

    task_id: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    due: datetime = Field(sa_type=UtcDateTime, index=True)
    tries: int = 0


class SqlIngests:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, task_id: str, attempt: int, due: datetime) -> None:
        row = {"task_id": task_id, "attempt": attempt, "due": due, "tries": 0}
        statement = self._database.insert(IngestRow).values(row)
        keys = ["task_id", "attempt"]
        async with self._database.transaction() as session:
            await session.exec(statement.on_conflict_do_update(index_elements=keys, set_={"due": due}))

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Ingest]:
        due = select(IngestRow.task_id, IngestRow.attempt).where(IngestRow.due <= now).order_by(col(IngestRow.due))
        async with self._database.transaction() as session:
            keys = (await session.exec(due.limit(limit))).all()
            if not keys:
                return ()
            named = or_(*(and_(col(IngestRow.task_id) == t, col(IngestRow.attempt) == a) for t, a in keys))
            # The second look at `due` leaves what another replica has taken in between to that one.
            taken = update(IngestRow).where(named, col(IngestRow.due) <= now).values(due=until)
            rows = await session.exec(
                taken.returning(col(IngestRow.task_id), col(IngestRow.attempt), col(IngestRow.tries))
            )
            return [Ingest(task_id, attempt, tries) for task_id, attempt, tries in rows.all()]

    async def again(self, ingest: Ingest, due: datetime) -> None:
        async with self._database.transaction() as session:
            await session.exec(update(IngestRow).where(*_is(ingest)).values(due=due, tries=ingest.tries + 1))

    async def remove(self, ingest: Ingest) -> None:
        async with self._database.transaction() as session:
            await session.exec(delete(IngestRow).where(*_is(ingest)))

    async def next_due(self) -> datetime | None:
        async with self._database.transaction() as session:
            return (await session.exec(select(func.min(IngestRow.due)))).one()


def _is(ingest: Ingest) -> tuple[ColumnElement[bool], ...]:
    return col(IngestRow.task_id) == ingest.task_id, col(IngestRow.attempt) == ingest.attempt
