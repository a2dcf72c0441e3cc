"""The operator's view of the listing tables, across projects."""

from collections.abc import Sequence

from chassis.database import Database
from contracts.media import Medium
from contracts.tasks import Phase
from sqlalchemy import func, select
from sqlmodel import col

from submission.adapters.searching import conditions, page_of, page_query, tagged_anywhere
from submission.adapters.tables import TaskRow
from submission.domain import Cursor, TaskFilter
from submission.ports import Crowd, Page

ALIVE = [phase.value for phase in Phase if not phase.terminal]


class SqlAllTasks:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, wanted: TaskFilter, limit: int, after: Cursor | None) -> Page:
        query = select(TaskRow).where(*conditions(wanted), *tagged_anywhere(wanted))
        async with self._database.statement() as tx:
            rows = (await tx.execute(page_query(query, wanted, limit, after))).all()
        return page_of(rows, wanted, limit)

    async def count(self, wanted: TaskFilter) -> int:
        query = select(func.count()).select_from(TaskRow).where(*conditions(wanted), *tagged_anywhere(wanted))
        async with self._database.statement() as tx:
            return int((await tx.execute(query)).scalar_one())

    async def crowds(self) -> Sequence[Crowd]:
        kinds = (col(TaskRow.project_id), col(TaskRow.medium), col(TaskRow.model), col(TaskRow.phase))
        query = (
            select(*kinds, func.count().label("number"), func.min(col(TaskRow.created_at)).label("oldest"))
            .where(col(TaskRow.phase).in_(ALIVE))
            .group_by(*kinds)
            .order_by(*kinds)
        )
        async with self._database.statement() as tx:
            rows = (await tx.execute(query)).all()
        return [
            Crowd(row.project_id, Medium(row.medium), row.model, Phase(row.phase), row.number, row.oldest)
            for row in rows
        ]
