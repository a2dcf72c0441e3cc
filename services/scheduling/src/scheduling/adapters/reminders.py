"""Reminders as a table that replicas share: each is taken by one of them, many in one statement."""

from collections.abc import Sequence
from datetime import datetime

from chassis.database import Database, insert
from sqlalchemy import Executable, Integer, bindparam, delete, func, select, tuple_, update
from sqlmodel import col

from scheduling.adapters.tables import ReminderRow
from scheduling.ports import DueReminder

OF_TASK = col(ReminderRow.task_id) == bindparam("of_task")
ONE = (OF_TASK, col(ReminderRow.moment) == bindparam("one_moment"))
KEEP = insert(ReminderRow).on_conflict_do_nothing()
DUE = (
    select(col(ReminderRow.task_id), col(ReminderRow.moment))
    .where(col(ReminderRow.due) <= bindparam("now"))
    .order_by(col(ReminderRow.due))
    .limit(bindparam("limit", type_=Integer))
    # What another replica takes at this moment is its own; SQLite has no other.
    .with_for_update(skip_locked=True)
)
TAKE = (
    update(ReminderRow)
    .where(tuple_(col(ReminderRow.task_id), col(ReminderRow.moment)).in_(DUE))
    .values(due=bindparam("until"))
    .returning(col(ReminderRow.task_id), col(ReminderRow.moment))
)
NEXT_DUE = select(func.min(col(ReminderRow.due)))
SETTLE = update(ReminderRow).where(*ONE).values(due=None)
DROP = delete(ReminderRow).where(*ONE)
FORGET = delete(ReminderRow).where(OF_TASK)


class SqlReminders:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, task_id: str, moments: Sequence[datetime]) -> None:
        rows = [{"task_id": task_id, "moment": moment, "due": moment} for moment in moments]
        async with self._database.statement() as tx:
            await tx.execute(KEEP, rows)

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[DueReminder]:
        async with self._database.statement() as tx:
            taken = await tx.execute(TAKE, {"now": now, "limit": limit, "until": until})
            return [DueReminder(row.task_id, row.moment) for row in taken]

    async def settle(self, reminder: DueReminder) -> None:
        await self._change(SETTLE, reminder)

    async def drop(self, reminder: DueReminder) -> None:
        await self._change(DROP, reminder)

    async def forget(self, task_id: str) -> None:
        async with self._database.statement() as tx:
            await tx.execute(FORGET, {"of_task": task_id})

    async def next_due(self) -> datetime | None:
        async with self._database.statement() as tx:
            return (await tx.execute(NEXT_DUE)).scalar()

    async def _change(self, statement: Executable, reminder: DueReminder) -> None:
        async with self._database.statement() as tx:
            await tx.execute(statement, {"of_task": reminder.task_id, "one_moment": reminder.moment})
