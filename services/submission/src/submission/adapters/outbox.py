"""Tasks that are to be announced, kept until their announcement has been heard."""

from collections.abc import Sequence
from datetime import datetime

from chassis.database import Database, insert
from chassis.taking import take_due
from contracts.tasks import Task
from sqlalchemy import Integer, bindparam, delete, func, select, update
from sqlmodel import col

from submission.adapters.tables import OutboxRow

_ADD = insert(OutboxRow)
ADD = _ADD.on_conflict_do_update(
    index_elements=["task_id"], set_={name: _ADD.excluded[name] for name in ("seq", "due", "record")}
)
DUE = (
    select(OutboxRow)
    .where(col(OutboxRow.due) <= bindparam("now"))
    .order_by(col(OutboxRow.due))
    .limit(bindparam("limit", type_=Integer))
)
AS_READ = (
    update(OutboxRow)
    .where(col(OutboxRow.task_id) == bindparam("taken_id"), col(OutboxRow.due) == bindparam("taken_until"))
    .values(seq=bindparam("new_seq"), record=bindparam("new_record"))
)
NEXT_DUE = select(func.min(col(OutboxRow.due)))
HEARD = delete(OutboxRow).where(
    col(OutboxRow.task_id) == bindparam("heard_id"), col(OutboxRow.seq) <= bindparam("heard_seq")
)


class SqlOutbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, task: Task, seq: int, due: datetime) -> None:
        row = {"task_id": task.id, "seq": seq, "due": due, "record": task.model_dump_json()}
        async with self._database.statement() as tx:
            await tx.execute(ADD, row)

    async def remove(self, task_id: str, heard_seq: int) -> None:
        async with self._database.statement() as tx:
            await tx.execute(HEARD, {"heard_id": task_id, "heard_seq": heard_seq})

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Task]:
        taken = await take_due(self._database, DUE, {"now": now, "limit": limit}, OutboxRow, until)
        return [Task.model_validate_json(row.record) for row in taken]

    async def keep_as_read(self, task: Task, taken_until: datetime) -> None:
        row = {
            "taken_id": task.id,
            "taken_until": taken_until,
            "new_seq": task.seq,
            "new_record": task.model_dump_json(),
        }
        async with self._database.statement() as tx:
            await tx.execute(AS_READ, row)

    async def next_due(self) -> datetime | None:
        async with self._database.statement() as tx:
            return (await tx.execute(NEXT_DUE)).scalar()
