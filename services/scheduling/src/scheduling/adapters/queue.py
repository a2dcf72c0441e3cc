"""The queue and the ledger as tables."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from chassis.database import Database, Transaction, insert
from contracts.media import Medium
from contracts.tasks import Owner, Phase, Priority, Task
from sqlalchemy import and_, case, delete, func, or_, select, update
from sqlmodel import col

from scheduling.adapters.tables import EntryRow, UsageRow
from scheduling.domain.usage import Usage, gpu_seconds
from scheduling.domain.watching import GRACE_OVER_TIME_LIMIT
from scheduling.ports import Entry

RANK = {Priority.LOW: 0, Priority.MEDIUM: 1, Priority.HIGH: 2}
STARTABLE = (Phase.QUEUED.value, Phase.RETRY_WAIT.value)
RUNNING = tuple(phase.value for phase in Phase if phase.owner is Owner.WORKER)
HELD = (Phase.ASSIGNED.value, *RUNNING)

_KEEP = insert(EntryRow)
_ALL = {column.name: _KEEP.excluded[column.name] for column in _KEEP.excluded}
KEEP = _KEEP.on_conflict_do_update(index_elements=["task_id"], set_=_ALL)
KEEP_IF_NEWER = _KEEP.on_conflict_do_update(
    index_elements=["task_id"], set_=_ALL, where=col(EntryRow.seq) < _KEEP.excluded.seq
)
_CHARGE = insert(UsageRow)
CHARGE = _CHARGE.on_conflict_do_update(
    index_elements=["project_id"], set_={"seconds": _CHARGE.excluded.seconds, "at": _CHARGE.excluded.at}
)


class SqlQueue:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def hear(self, task: Task, look_again_at: datetime) -> tuple[bool, Entry | None]:
        known = select(EntryRow).where(col(EntryRow.task_id) == task.id)
        async with self._database.transaction() as tx:
            row = (await tx.execute(known)).first()
            news = row is None or row.seq < task.seq
            if news:
                await tx.execute(KEEP_IF_NEWER, _row(task, look_again_at))
        return news, _entry(row) if row else None

    async def correct(self, task: Task, look_again_at: datetime) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(KEEP, _row(task, look_again_at))

    async def forget(self, task_id: str, ended_at_seq: int) -> None:
        ended = delete(EntryRow).where(col(EntryRow.task_id) == task_id, col(EntryRow.seq) <= ended_at_seq)
        async with self._database.transaction() as tx:
            await tx.execute(ended)

    async def remove(self, task_id: str) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(delete(EntryRow).where(col(EntryRow.task_id) == task_id))

    async def ready(self, medium: Medium, now: datetime, most_alike: int) -> Sequence[Entry]:
        place = func.row_number().over(
            partition_by=(col(EntryRow.project_id), col(EntryRow.rank), col(EntryRow.model)),
            order_by=(col(EntryRow.since), col(EntryRow.task_id)),
        )
        startable = select(col(EntryRow.task_id), place.label("place")).where(
            col(EntryRow.medium) == medium.value,
            col(EntryRow.phase).in_(STARTABLE),
            or_(col(EntryRow.not_before).is_(None), col(EntryRow.not_before) <= now),
        )
        placed = startable.subquery()
        query = select(EntryRow).join(placed, placed.c.task_id == EntryRow.task_id)
        return await self._entries(query.where(placed.c.place <= most_alike))

    async def held(self, medium: Medium) -> Sequence[Entry]:
        held = and_(col(EntryRow.medium) == medium.value, col(EntryRow.phase).in_(HELD))
        return await self._entries(select(EntryRow).where(held))

    async def look_again(self, task_id: str, at: datetime) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(update(EntryRow).where(col(EntryRow.task_id) == task_id).values(look_at=at))

    async def renew(self, worker_id: str, runs: Sequence[tuple[str, int]], until: datetime) -> None:
        named = or_(*(and_(col(EntryRow.task_id) == task, col(EntryRow.attempt) == attempt) for task, attempt in runs))
        async with self._database.transaction() as tx:
            await _put_off(tx, until, col(EntryRow.worker_id) == worker_id, named)

    async def renew_all(self, until: datetime) -> None:
        async with self._database.transaction() as tx:
            await _put_off(tx, until)

    async def due(self, now: datetime) -> Sequence[Entry]:
        return await self._entries(select(EntryRow).where(col(EntryRow.look_at) <= now).order_by(col(EntryRow.look_at)))

    async def next_due(self) -> datetime | None:
        async with self._database.transaction() as tx:
            return (await tx.execute(select(func.min(col(EntryRow.look_at))))).scalar()

    async def _entries(self, query: Any) -> Sequence[Entry]:
        async with self._database.transaction() as tx:
            return [_entry(row) for row in (await tx.execute(query)).all()]


class SqlLedger:
    def __init__(self, database: Database, half_life: timedelta) -> None:
        self._database = database
        self._half_life = half_life

    async def charge(self, project_id: str, seconds: float, now: datetime) -> None:
        async with self._database.transaction() as tx:
            row = (await tx.execute(select(UsageRow).where(col(UsageRow.project_id) == project_id))).first()
            before = Usage(row.seconds, row.at) if row else Usage(0.0, now)
            charged = before.plus(seconds, now, self._half_life)
            await tx.execute(CHARGE, {"project_id": project_id, "seconds": charged.seconds, "at": charged.at})

    async def all(self) -> dict[str, Usage]:
        async with self._database.transaction() as tx:
            return {row.project_id: Usage(row.seconds, row.at) for row in (await tx.execute(select(UsageRow))).all()}


async def _put_off(tx: Transaction, until: datetime, *which: Any) -> None:
    """No heartbeat puts the look off beyond the task's own time limit."""
    deadline = col(EntryRow.hard_deadline)
    look_at = case((and_(deadline.is_not(None), deadline < until), deadline), else_=until)
    await tx.execute(update(EntryRow).where(col(EntryRow.phase).in_(RUNNING), *which).values(look_at=look_at))


def _row(task: Task, look_again_at: datetime) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "project_id": task.project_id,
        "medium": task.medium.value,
        "model": task.model,
        "rank": RANK[task.priority],
        "phase": task.phase.value,
        "phase_since": task.phase_since,
        "attempt": task.attempt,
        "seq": task.seq,
        "worker_id": task.worker_id,
        "since": task.created_at,
        "not_before": task.not_before,
        "hard_deadline": task.deadline + GRACE_OVER_TIME_LIMIT if task.deadline else None,
        "look_at": look_again_at,
        "gpu_seconds": gpu_seconds(task),
    }


def _entry(row: Any) -> Entry:
    return Entry(
        task_id=row.task_id,
        project_id=row.project_id,
        medium=Medium(row.medium),
        model=row.model,
        rank=row.rank,
        phase=Phase(row.phase),
        phase_since=row.phase_since,
        attempt=row.attempt,
        seq=row.seq,
        worker_id=row.worker_id,
        since=row.since,
        gpu_seconds=row.gpu_seconds,
    )
