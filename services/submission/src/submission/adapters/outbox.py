"""Tasks that are to be announced, kept until they have been."""

from collections.abc import Sequence
from datetime import datetime

from chassis.database import Database
from contracts.tasks import Task
from sqlalchemy import delete, func
from sqlmodel import col, select

from submission.adapters.tables import OutboxRow


class SqlOutbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, task: Task, seq: int, due: datetime) -> None:
        row = {"task_id": task.id, "seq": seq, "due": due, "record": task.model_dump_json()}
        statement = self._database.insert(OutboxRow).values(row)
        async with self._database.transaction() as session:
            await session.exec(statement.on_conflict_do_update(index_elements=["task_id"], set_=row))

    async def remove(self, task_id: str, heard_seq: int | None = None) -> None:
        this = [col(OutboxRow.task_id) == task_id]
        if heard_seq is not None:
            this.append(col(OutboxRow.seq) <= heard_seq)
        async with self._database.transaction() as session:
            await session.exec(delete(OutboxRow).where(*this))

    async def due(self, now: datetime) -> Sequence[Task]:
        query = select(OutboxRow.record).where(OutboxRow.due <= now).order_by(col(OutboxRow.due))
        async with self._database.transaction() as session:
            return [Task.model_validate_json(record) for record in (await session.exec(query)).all()]

    async def next_due(self) -> datetime | None:
        async with self._database.transaction() as session:
            return (await session.exec(select(func.min(OutboxRow.due)))).one()
