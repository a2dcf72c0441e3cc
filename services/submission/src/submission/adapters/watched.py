"""Records that are looked at again and again, each with the time of its next look."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from chassis.database import Database, insert
from chassis.taking import take_due
from sqlalchemy import Integer, Select, Update, and_, bindparam, delete, func, or_, select, update
from sqlmodel import col

from submission.adapters.tables import GraphRow, SeriesRow
from submission.domain import Cursor, Sort

Row = type[SeriesRow] | type[GraphRow]


@cache
def _due(row: Row) -> Select[Any]:
    due = select(row).where(col(row.due) <= bindparam("now")).order_by(col(row.due))
    return due.limit(bindparam("limit", type_=Integer))


@cache
def _wake(row: Row) -> Update:
    later = or_(col(row.due).is_(None), col(row.due) > bindparam("wanted"))
    return update(row).where(col(row.id) == bindparam("woken_id"), later).values(due=bindparam("wanted"))


@cache
def _put_off(row: Row) -> Update:
    as_taken = col(row.id) == bindparam("taken_id"), col(row.due) == bindparam("taken_until")
    return update(row).where(*as_taken).values(due=bindparam("following"))


class SqlWatched:
    """Which records of a kind there are, and when to look at each."""

    def __init__(self, database: Database, row: Row) -> None:
        self._database = database
        self._row = row

    async def add(self, id: str, project_id: str, created_at: datetime, due: datetime) -> None:
        row = {"id": id, "project_id": project_id, "created_at": created_at, "due": due}
        async with self._database.statement() as tx:
            await tx.execute(insert(self._row).on_conflict_do_nothing(), row)

    async def count(self, project_id: str) -> int:
        query = select(func.count()).select_from(self._row).where(col(self._row.project_id) == project_id)
        async with self._database.statement() as tx:
            return int((await tx.execute(query)).scalar() or 0)

    async def page(self, project_id: str, limit: int, after: Cursor | None) -> tuple[Sequence[str], Cursor | None]:
        created, id_ = col(self._row.created_at), col(self._row.id)
        query = select(id_, created).where(col(self._row.project_id) == project_id)
        if after is not None:
            query = query.where(or_(created < after.value, and_(created == after.value, id_ < after.task_id)))
        async with self._database.statement() as tx:
            rows = (await tx.execute(query.order_by(created.desc(), id_.desc()).limit(limit + 1))).all()
        last = rows[limit - 1] if len(rows) > limit else None
        following = Cursor(Sort.NEWEST, last.created_at, last.id) if last else None
        return [row.id for row in rows[:limit]], following

    async def wake(self, id: str, due: datetime) -> None:
        async with self._database.statement() as tx:
            await tx.execute(_wake(self._row), {"woken_id": id, "wanted": due})

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[str]:
        taken = await take_due(self._database, _due(self._row), {"now": now, "limit": limit}, self._row, until)
        return [row.id for row in taken]

    async def put_off(self, id: str, taken_until: datetime, due: datetime | None) -> None:
        async with self._database.statement() as tx:
            await tx.execute(_put_off(self._row), {"taken_id": id, "taken_until": taken_until, "following": due})

    async def remove(self, id: str) -> None:
        async with self._database.statement() as tx:
            await tx.execute(delete(self._row).where(col(self._row.id) == id))

    async def next_due(self) -> datetime | None:
        async with self._database.statement() as tx:
            return (await tx.execute(select(func.min(col(self._row.due))))).scalar()
