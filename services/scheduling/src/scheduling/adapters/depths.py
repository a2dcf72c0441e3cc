"""How deep the queue is, counted."""

from collections.abc import Sequence
from datetime import datetime

from chassis.database import Database
from contracts.media import Medium
from contracts.tasks import Priority
from sqlalchemy import func, select
from sqlmodel import col

from scheduling.adapters.queue import MAY_START
from scheduling.adapters.tables import EntryRow
from scheduling.ports import Depth

BY_RANK = {priority.rank: priority for priority in Priority}
KIND = (col(EntryRow.medium), col(EntryRow.project_id), col(EntryRow.rank))
DEPTHS = (
    select(*KIND, func.count().label("tasks"), func.min(col(EntryRow.since)).label("oldest"))
    .where(MAY_START)
    .group_by(*KIND)
)


class SqlDepths:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_queue(self, now: datetime) -> Sequence[Depth]:
        async with self._database.statement() as tx:
            rows = (await tx.execute(DEPTHS, {"now": now})).all()
        return [Depth(Medium(row.medium), row.project_id, BY_RANK[row.rank], row.tasks, row.oldest) for row in rows]
