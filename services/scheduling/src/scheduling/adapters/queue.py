"""The queue as a table."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from chassis.database import Database
from contracts.media import Medium
from contracts.tasks import Owner, Phase, Priority, Task
from sqlalchemy import ColumnElement, and_, case, delete, func, or_, true, update
from sqlmodel import col, select

from scheduling.adapters.tables import EntryRow, UsageRow
from scheduling.domain.usage import Usage, gpu_seconds
from scheduling.domain.watching import GRACE_OVER_TIME_LIMIT
from scheduling.ports import Entry

RANK = {Priority.LOW: 0, Priority.MEDIUM: 1, Priority.HIGH: 2}
STARTABLE = (Phase.QUEUED.value, Phase.RETRY_WAIT.value)
RUNNING = tuple(phase.value for phase in Phase if phase.owner is Owner.WORKER)
HELD = (Phase.ASSIGNED.value, *RUNNING)


class SqlQueue:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, task_id: str) -> Entry | None:
        async with self._database.transaction() as session:
            row = await session.get(EntryRow, task_id)
        return _entry(row) if row else None

    async def put(self, task: Task, look_again_at: datetime) -> None:
        await self._keep(task, look_again_at, col(EntryRow.seq) < task.seq)

    async def correct(self, task: Task, look_again_at: datetime) -> None:
        await self._keep(task, look_again_at, true())

    async def _keep(self, task: Task, look_again_at: datetime, replace: ColumnElement[bool]) -> None:
        row = {
            "task_id": task.id,
            "project_id": task.project_id,
            "medium": task.medium.value,
            "model": task.model,
            "rank": RANK[task.priority],
            "phase": task.phase.value,
            "attempt": task.attempt,
            "seq": task.seq,
            "worker_id": task.worker_id,
            "since": task.created_at,
            "not_before": task.not_before,
            "hard_deadline": task.deadline + GRACE_OVER_TIME_LIMIT if task.deadline else None,
            "look_at": look_again_at,
            "gpu_seconds": gpu_seconds(task),
        }
        statement = self._database.insert(EntryRow).values(row)
        async with self._database.transaction() as session:
            await session.exec(statement.on_conflict_do_update(index_elements=["task_id"], set_=row, where=replace))

    async def remove(self, task_id: str) -> None:
        async with self._database.transaction() as session:
            await session.exec(delete(EntryRow).where(col(EntryRow.task_id) == task_id))

    async def ready(self, medium: Medium, now: datetime, per_project: int) -> Sequence[Entry]:
        place = func.row_number().over(
            partition_by=(col(EntryRow.project_id), col(EntryRow.rank)),
            order_by=(col(EntryRow.since), col(EntryRow.task_id)),
        )
        startable = select(EntryRow.task_id, place.label("place")).where(
            EntryRow.medium == medium.value,
            col(EntryRow.phase).in_(STARTABLE),
            or_(col(EntryRow.not_before).is_(None), col(EntryRow.not_before) <= now),
        )
        placed = startable.subquery()
        query = select(EntryRow).join(placed, placed.c.task_id == EntryRow.task_id)
        return await self._entries(query.where(placed.c.place <= per_project))

    async def held(self, medium: Medium) -> Sequence[Entry]:
        held = and_(col(EntryRow.medium) == medium.value, col(EntryRow.phase).in_(HELD))
        return await self._entries(select(EntryRow).where(held))

    async def look_again(self, task_id: str, at: datetime) -> None:
        async with self._database.transaction() as session:
            await session.exec(update(EntryRow).where(col(EntryRow.task_id) == task_id).values(look_at=at))

    async def renew(self, worker_id: str, runs: Sequence[tuple[str, int]], until: datetime) -> None:
        named = or_(*(and_(col(EntryRow.task_id) == task, col(EntryRow.attempt) == attempt) for task, attempt in runs))
        await self._put_off(until, col(EntryRow.worker_id) == worker_id, named)

    async def renew_all(self, until: datetime) -> None:
        await self._put_off(until)

    async def due(self, now: datetime) -> Sequence[Entry]:
        return await self._entries(select(EntryRow).where(EntryRow.look_at <= now).order_by(col(EntryRow.look_at)))

    async def next_due(self) -> datetime | None:
        async with self._database.transaction() as session:
            return (await session.exec(select(func.min(EntryRow.look_at)))).one()

    async def _put_off(self, until: datetime, *which: Any) -> None:
        """No heartbeat puts the look off beyond the task's own time limit."""
        deadline = col(EntryRow.hard_deadline)
        look_at = case((and_(deadline.is_not(None), deadline < until), deadline), else_=until)
        running = col(EntryRow.phase).in_(RUNNING)
        async with self._database.transaction() as session:
            await session.exec(update(EntryRow).where(running, *which).values(look_at=look_at))

    async def _entries(self, query: Any) -> Sequence[Entry]:
        async with self._database.transaction() as session:
            return [_entry(row) for row in (await session.exec(query)).all()]


class SqlLedger:
    def __init__(self, database: Database, half_life: timedelta) -> None:
        self._database = database
        self._half_life = half_life

    async def charge(self, project_id: str, seconds: float, now: datetime) -> None:
        async with self._database.transaction() as session:
            row = await session.get(UsageRow, project_id)
            if row is None:
                session.add(UsageRow(project_id=project_id, seconds=seconds, at=now))
                return
            charged = Usage(row.seconds, row.at).plus(seconds, now, self._half_life)
            row.seconds, row.at = charged.seconds, charged.at

    async def all(self) -> dict[str, Usage]:
        async with self._database.transaction() as session:
            return {row.project_id: Usage(row.seconds, row.at) for row in (await session.exec(select(UsageRow))).all()}


def _entry(row: EntryRow) -> Entry:
    return Entry(
        task_id=row.task_id,
        project_id=row.project_id,
        medium=Medium(row.medium),
        model=row.model,
        rank=row.rank,
        phase=Phase(row.phase),
        attempt=row.attempt,
        seq=row.seq,
        worker_id=row.worker_id,
        since=row.since,
        gpu_seconds=row.gpu_seconds,
    )
