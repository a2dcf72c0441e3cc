"""Tasks that are to be announced, kept until their announcement has been heard."""

from collections.abc import Sequence
from datetime import datetime

from chassis.database import Database, insert
from chassis.taking import take_due
from contracts.tasks import Task
from sqlalchemy import delete, func, select
from sqlmodel import col

from submission.adapters.tables import OutboxRow

_ADD = insert(OutboxRow)
ADD = _ADD.on_conflict_do_update(
    index_elements=["task_id"], set_={name: _ADD.excluded[name] for name in ("seq", "due", "record")}
)


class SqlOutbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, task: Task, seq: int, due: datetime) -> None:
        row = {"task_id": task.id, "seq": seq, "due": due, "record": task.model_dump_json()}
        async with self._database.statement() as tx:
            await tx.execute(ADD, row)

    async def remove(self, task_id: str, heard_seq: int) -> None:
        heard = delete(OutboxRow).where(col(OutboxRow.task_id) == task_id, col(OutboxRow.seq) <= heard_seq)
        async with self._database.statement() as tx:
            await tx.execute(heard)

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Task]:
        due = select(OutboxRow).where(col(OutboxRow.due) <= now).order_by(col(OutboxRow.due)).limit(limit)
        taken = await take_due(self._database, due, OutboxRow, until)
        return [Task.model_validate_json(row.record) for row in taken]

    async def next_due(self) -> datetime | None:
        async with self._database.statement() as tx:
            return (await tx.execute(select(func.min(col(OutboxRow.due))))).scalar()
