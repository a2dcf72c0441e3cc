"""The feed as a table: the database's own counter gives every event its position."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chassis.database import Database, insert
from sqlalchemy import delete, select
from sqlmodel import col

from notification.adapters.tables import FeedRow
from notification.domain import Happening

ADD = insert(FeedRow).on_conflict_do_nothing().returning(col(FeedRow.position))


class SqlFeed:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, happening: Happening) -> int | None:
        async with self._database.transaction() as tx:
            position: int | None = (await tx.execute(ADD, vars(happening))).scalar()
        return position

    async def after(
        self, position: int, project_id: str, task_id: str | None, limit: int
    ) -> Sequence[tuple[int, Happening]]:
        query = select(FeedRow).where(col(FeedRow.project_id) == project_id, col(FeedRow.position) > position)
        if task_id is not None:
            query = query.where(col(FeedRow.task_id) == task_id)
        async with self._database.transaction() as tx:
            return [_placed(row) for row in await tx.execute(query.order_by(col(FeedRow.position)).limit(limit))]

    async def latest(self, project_id: str, task_id: str) -> tuple[int, Happening] | None:
        query = select(FeedRow).where(col(FeedRow.project_id) == project_id, col(FeedRow.task_id) == task_id)
        async with self._database.transaction() as tx:
            row = (await tx.execute(query.order_by(col(FeedRow.position).desc()).limit(1))).first()
        return _placed(row) if row else None

    async def prune(self, before: datetime) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(delete(FeedRow).where(col(FeedRow.at) < before))


def _placed(row: Any) -> tuple[int, Happening]:
    return row.position, Happening(row.event_id, row.type, row.at, row.project_id, row.task_id, row.data)
