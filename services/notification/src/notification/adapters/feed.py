"""The feed as a table: the database's own counter gives every event its position."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from chassis.database import Database
from sqlalchemy import delete
from sqlmodel import col, select

from notification.adapters.tables import FeedRow
from notification.domain import Happening


class SqlFeed:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, happening: Happening) -> int | None:
        statement = self._database.insert(FeedRow).values(asdict(happening))
        added = statement.on_conflict_do_nothing().returning(col(FeedRow.position))
        async with self._database.transaction() as session:
            row = (await session.exec(added)).first()
        return row[0] if row else None

    async def after(
        self, position: int, project_id: str, task_id: str | None, limit: int
    ) -> Sequence[tuple[int, Happening]]:
        query = select(FeedRow).where(FeedRow.project_id == project_id, col(FeedRow.position) > position)
        if task_id is not None:
            query = query.where(FeedRow.task_id == task_id)
        async with self._database.transaction() as session:
            rows = (await session.exec(query.order_by(col(FeedRow.position)).limit(limit))).all()
        return [_placed(row) for row in rows]

    async def latest(self, project_id: str, task_id: str) -> tuple[int, Happening] | None:
        query = select(FeedRow).where(FeedRow.project_id == project_id, FeedRow.task_id == task_id)
        async with self._database.transaction() as session:
            row = (await session.exec(query.order_by(col(FeedRow.position).desc()).limit(1))).first()
        return _placed(row) if row else None

    async def prune(self, before: datetime) -> None:
        async with self._database.transaction() as session:
            await session.exec(delete(FeedRow).where(col(FeedRow.at) < before))


def _placed(row: FeedRow) -> tuple[int, Happening]:
    happening = Happening(row.event_id, row.type, row.at, row.project_id, row.task_id, row.data)
    return row.position or 0, happening
