"""The feed as a table.

Positions come from a row that every addition moves on in its own transaction. So additions are
committed one after the other, and whoever has read up to a position never meets an earlier one later;
a sequence of the database's own would promise neither.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chassis.database import Database, insert
from sqlalchemy import delete, func, select
from sqlmodel import col

from notification.adapters.tables import FeedEndRow, FeedRow, FeedTagRow
from notification.domain.happenings import REMINDER, Happening
from notification.domain.live import Scope

END = col(FeedEndRow.position)
_FIRST = select(func.coalesce(func.max(col(FeedRow.position)), 0) + 1).scalar_subquery()
NEXT = (
    insert(FeedEndRow)
    .values(id=1, position=_FIRST)
    .on_conflict_do_update(index_elements=["id"], set_={"position": END + 1})
    .returning(END)
)
ADD = insert(FeedRow).on_conflict_do_nothing(index_elements=["event_id"])
ADD_TAGS = insert(FeedTagRow).on_conflict_do_nothing()
OLDEST = select(func.coalesce(func.min(col(FeedRow.position)), select(END + 1).scalar_subquery(), 1))


class SqlFeed:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, happening: Happening) -> int | None:
        known = select(col(FeedRow.position)).where(col(FeedRow.event_id) == happening.event_id)
        async with self._database.transaction() as tx:
            if (await tx.execute(known)).first() is not None:
                return None
            position = int((await tx.execute(NEXT)).scalar_one())
            added = await tx.execute(ADD, {"position": position, **vars(happening)})
            if added.rowcount == 0:
                return None
            if happening.tags:
                await tx.execute(ADD_TAGS, _tags(position, happening))
            return position

    async def newest(self) -> int:
        async with self._database.statement() as tx:
            return (await tx.execute(select(END))).scalar() or 0

    async def oldest(self) -> int:
        async with self._database.statement() as tx:
            return int((await tx.execute(OLDEST)).scalar_one())

    async def since(self, position: int, limit: int) -> Sequence[tuple[int, Happening]]:
        query = select(FeedRow).where(col(FeedRow.position) > position).order_by(col(FeedRow.position)).limit(limit)
        async with self._database.statement() as tx:
            return [_placed(row) for row in await tx.execute(query)]

    async def after(self, position: int, scope: Scope, limit: int) -> Sequence[tuple[int, Happening]]:
        query = select(FeedRow).where(col(FeedRow.project_id) == scope.project_id, col(FeedRow.position) > position)
        if scope.task_id is not None:
            query = query.where(col(FeedRow.task_id) == scope.task_id)
        if scope.tag is not None:
            query = query.join(FeedTagRow, col(FeedTagRow.position) == col(FeedRow.position)).where(
                col(FeedTagRow.project_id) == scope.project_id,
                col(FeedTagRow.tag) == scope.tag,
                col(FeedTagRow.position) > position,
            )
        async with self._database.statement() as tx:
            return [_placed(row) for row in await tx.execute(query.order_by(col(FeedRow.position)).limit(limit))]

    async def latest(self, project_id: str, task_id: str) -> tuple[int, Happening] | None:
        of_task = (col(FeedRow.project_id) == project_id, col(FeedRow.task_id) == task_id)
        query = select(FeedRow).where(*of_task, col(FeedRow.type) != REMINDER)
        async with self._database.statement() as tx:
            row = (await tx.execute(query.order_by(col(FeedRow.position).desc()).limit(1))).first()
        return _placed(row) if row else None

    async def prune(self, before: datetime) -> None:
        first_kept = select(func.min(col(FeedRow.position))).where(col(FeedRow.at) >= before)
        async with self._database.transaction() as tx:
            edge = (await tx.execute(first_kept)).scalar()
            if edge is None:
                edge = ((await tx.execute(select(END))).scalar() or 0) + 1
            await tx.execute(delete(FeedTagRow).where(col(FeedTagRow.position) < edge))
            await tx.execute(delete(FeedRow).where(col(FeedRow.position) < edge))


def _tags(position: int, happening: Happening) -> list[dict[str, Any]]:
    return [
        {"project_id": happening.project_id, "tag": tag, "position": position} for tag in dict.fromkeys(happening.tags)
    ]


def _placed(row: Any) -> tuple[int, Happening]:
    return row.position, Happening(row.event_id, row.type, row.at, row.project_id, row.task_id, row.data)
