"""Results that wait to be stored, as a table."""

from collections.abc import Sequence
from datetime import datetime

from chassis.database import Database, insert
from chassis.taking import take_due
from sqlalchemy import ColumnElement, Integer, bindparam, delete, func, select, update
from sqlmodel import col

from storage.adapters.tables import IngestRow
from storage.ports import Ingest

ADD = insert(IngestRow).on_conflict_do_nothing()
DUE = (
    select(IngestRow)
    .where(col(IngestRow.due) <= bindparam("now"))
    .order_by(col(IngestRow.due))
    .limit(bindparam("limit", type_=Integer))
)
NEXT_DUE = select(func.min(col(IngestRow.due)))


class SqlIngests:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, task_id: str, attempt: int, due: datetime) -> None:
        async with self._database.statement() as tx:
            await tx.execute(ADD, {"task_id": task_id, "attempt": attempt, "due": due, "tries": 0})

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Ingest]:
        taken = await take_due(self._database, DUE, {"now": now, "limit": limit}, IngestRow, until)
        return [Ingest(row.task_id, row.attempt, row.tries) for row in taken]

    async def put_off(self, ingest: Ingest, due: datetime) -> None:
        async with self._database.statement() as tx:
            await tx.execute(update(IngestRow).where(*_is(ingest)).values(due=due))

    async def again(self, ingest: Ingest, due: datetime) -> None:
        async with self._database.statement() as tx:
            await tx.execute(update(IngestRow).where(*_is(ingest)).values(due=due, tries=ingest.tries + 1))

    async def remove(self, ingest: Ingest) -> None:
        async with self._database.statement() as tx:
            await tx.execute(delete(IngestRow).where(*_is(ingest)))

    async def next_due(self) -> datetime | None:
        async with self._database.statement() as tx:
            return (await tx.execute(NEXT_DUE)).scalar()


def _is(ingest: Ingest) -> tuple[ColumnElement[bool], ...]:
    return col(IngestRow.task_id) == ingest.task_id, col(IngestRow.attempt) == ingest.attempt
