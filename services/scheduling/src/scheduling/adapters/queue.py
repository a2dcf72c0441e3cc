"""The queue as a table that replicas share: whatever decides is one statement, never a read and then a write."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from chassis.database import Database, Transaction, insert
from contracts.media import Medium
from contracts.tasks import Owner, Phase, Task
from sqlalchemy import ColumnElement, Select, and_, bindparam, case, delete, func, or_, select, update
from sqlmodel import col

from scheduling.adapters.ledger import charge
from scheduling.adapters.tables import EntryRow
from scheduling.domain.company import Company
from scheduling.domain.usage import gpu_seconds
from scheduling.domain.watching import REMEMBERED, hard_deadline, startable_at
from scheduling.ports import Entry

STARTABLE = (Phase.QUEUED.value, Phase.RETRY_WAIT.value)
RUNNING = tuple(phase.value for phase in Phase if phase.owner is Owner.WORKER)
HELD = (Phase.ASSIGNED.value, *RUNNING)
ENDED = tuple(phase.value for phase in Phase if phase.terminal)

_INSERT = insert(EntryRow)
NEW = _INSERT.excluded
NEWER = col(EntryRow.seq) < NEW.seq
SAME_PHASE = and_(col(EntryRow.attempt) == NEW.attempt, col(EntryRow.phase) == NEW.phase)


def _keep_if(worth: ColumnElement[bool]) -> Any:
    """Writes the row if there is none, or if the one there is worth replacing; returns nothing if it is not.

    What counts from the moment a phase was heard of stays while the phase does, and so does what was charged.
    """
    limit = col(EntryRow.hard_deadline)
    limited = and_(SAME_PHASE, limit > NEW.phase_heard_at, limit < NEW.look_at)
    written = {
        **{column.name: column for column in NEW},
        **{
            name: case((SAME_PHASE, col(getattr(EntryRow, name))), else_=NEW[name])
            for name in ("phase_heard_at", "not_before", "hard_deadline")
        },
        "look_at": case((limited, limit), else_=NEW.look_at),
        "gpu_seconds": case((NEW.gpu_seconds > col(EntryRow.gpu_seconds), NEW.gpu_seconds), else_=EntryRow.gpu_seconds),
        "charged_before": col(EntryRow.gpu_seconds),
        # The record knows better only than what was never so.
        "since": case((col(EntryRow.seq) > NEW.seq, NEW.since), else_=col(EntryRow.since)),
    }
    keep = _INSERT.on_conflict_do_update(index_elements=["task_id"], set_=written, where=worth)
    return keep.returning(col(EntryRow.gpu_seconds), col(EntryRow.charged_before))


def _ready() -> Select[Any]:
    """What may start, the longest waiting first; so many alike ones of a project and priority."""
    place = func.row_number().over(
        partition_by=(col(EntryRow.project_id), col(EntryRow.rank), col(EntryRow.model), col(EntryRow.outgrown_mb)),
        order_by=(col(EntryRow.since), col(EntryRow.task_id)),
    )
    startable = select(col(EntryRow.task_id), place.label("place")).where(
        col(EntryRow.medium) == bindparam("medium"),
        col(EntryRow.phase).in_(STARTABLE),
        or_(col(EntryRow.not_before).is_(None), col(EntryRow.not_before) <= bindparam("now")),
    )
    placed = startable.subquery()
    query = select(EntryRow).join(placed, placed.c.task_id == EntryRow.task_id)
    return query.where(placed.c.place <= bindparam("most_alike"))


HEAR = _keep_if(NEWER)
AS_HEARD = and_(col(EntryRow.seq) == bindparam("heard_seq"), col(EntryRow.look_at).is_not(None))
CORRECT = _keep_if(or_(NEWER, AS_HEARD))
FORGET = (
    update(EntryRow)
    .where(
        col(EntryRow.task_id) == bindparam("ended_id"),
        col(EntryRow.seq) <= bindparam("ended_at_seq"),
        col(EntryRow.phase).in_(ENDED),
    )
    .values(look_at=None, forget_at=bindparam("until"))
)
SWEEP = delete(EntryRow).where(col(EntryRow.forget_at) <= bindparam("now"))
READY = _ready()
HELD_OF_MEDIUM = select(EntryRow).where(col(EntryRow.medium) == bindparam("medium"), col(EntryRow.phase).in_(HELD))
DUE = select(EntryRow).where(col(EntryRow.look_at) <= bindparam("now")).order_by(col(EntryRow.look_at))
NEXT_DUE = select(func.min(col(EntryRow.look_at)))


class SqlQueue:
    def __init__(self, database: Database, half_life: timedelta, company: Callable[[Task], Company]) -> None:
        self._database = database
        self._half_life = half_life
        self._company = company

    async def hear(self, task: Task, now: datetime, look_again_at: datetime) -> bool:
        return await self._keep(HEAR, self._row(task, now, look_again_at), now)

    async def correct(self, task: Task, heard_seq: int, now: datetime, look_again_at: datetime) -> None:
        await self._keep(CORRECT, {**self._row(task, now, look_again_at), "heard_seq": heard_seq}, now)

    async def _keep(self, keep: Any, row: dict[str, Any], now: datetime) -> bool:
        async with self._database.transaction() as tx:
            kept = (await tx.execute(keep, row)).first()
            if kept is not None and kept.gpu_seconds > kept.charged_before:
                await charge(tx, row["project_id"], kept.gpu_seconds - kept.charged_before, now, self._half_life)
        return kept is not None

    def _row(self, task: Task, now: datetime, look_again_at: datetime) -> dict[str, Any]:
        company = self._company(task)
        return {
            "task_id": task.id,
            "project_id": task.project_id,
            "medium": task.medium.value,
            "model": task.model,
            "rank": task.priority.rank,
            "phase": task.phase.value,
            "phase_heard_at": now,
            "attempt": task.attempt,
            "seq": task.seq,
            "worker_id": task.worker_id,
            "since": min(task.created_at, now),
            "not_before": startable_at(task, now),
            "hard_deadline": hard_deadline(task, now),
            "look_at": look_again_at,
            "forget_at": None,
            "alike": company.alike,
            "most_together": company.most,
            "outgrown_mb": task.outgrown_mb,
            "gpu_seconds": gpu_seconds(task),
            "charged_before": 0.0,
        }

    async def forget(self, task_id: str, ended_at_seq: int, now: datetime) -> None:
        ended = {"ended_id": task_id, "ended_at_seq": ended_at_seq, "until": now + REMEMBERED}
        async with self._database.statement() as tx:
            await tx.execute(FORGET, ended)

    async def sweep(self, now: datetime) -> None:
        async with self._database.statement() as tx:
            await tx.execute(SWEEP, {"now": now})

    async def remove(self, task_id: str) -> None:
        async with self._database.statement() as tx:
            await tx.execute(delete(EntryRow).where(col(EntryRow.task_id) == task_id))

    async def ready(self, medium: Medium, now: datetime, most_alike: int) -> Sequence[Entry]:
        return await self._entries(READY, {"medium": medium.value, "now": now, "most_alike": most_alike})

    async def held(self, medium: Medium) -> Sequence[Entry]:
        return await self._entries(HELD_OF_MEDIUM, {"medium": medium.value})

    async def look_again(self, task_id: str, at: datetime) -> None:
        async with self._database.statement() as tx:
            there = col(EntryRow.task_id) == task_id, col(EntryRow.look_at).is_not(None)
            await tx.execute(update(EntryRow).where(*there).values(look_at=at))

    async def renew(self, worker_id: str, runs: Sequence[tuple[str, int]], until: datetime) -> None:
        named = or_(*(and_(col(EntryRow.task_id) == task, col(EntryRow.attempt) == attempt) for task, attempt in runs))
        async with self._database.transaction() as tx:
            await _put_off(tx, until, col(EntryRow.worker_id) == worker_id, named)

    async def renew_all(self, until: datetime) -> None:
        async with self._database.transaction() as tx:
            await _put_off(tx, until)

    async def due(self, now: datetime) -> Sequence[Entry]:
        return await self._entries(DUE, {"now": now})

    async def next_due(self) -> datetime | None:
        async with self._database.statement() as tx:
            return (await tx.execute(NEXT_DUE)).scalar()

    async def _entries(self, query: Select[Any], values: dict[str, Any]) -> Sequence[Entry]:
        async with self._database.statement() as tx:
            return [_entry(row) for row in (await tx.execute(query, values)).all()]


async def _put_off(tx: Transaction, until: datetime, *which: Any) -> None:
    """No heartbeat puts the look off beyond the task's own time limit."""
    deadline = col(EntryRow.hard_deadline)
    look_at = case((and_(deadline.is_not(None), deadline < until), deadline), else_=until)
    await tx.execute(update(EntryRow).where(col(EntryRow.phase).in_(RUNNING), *which).values(look_at=look_at))


def _entry(row: Any) -> Entry:
    return Entry(
        task_id=row.task_id,
        project_id=row.project_id,
        medium=Medium(row.medium),
        model=row.model,
        rank=row.rank,
        phase=Phase(row.phase),
        phase_heard_at=row.phase_heard_at,
        attempt=row.attempt,
        seq=row.seq,
        worker_id=row.worker_id,
        since=row.since,
        company=Company(row.alike, row.most_together),
        outgrown_mb=row.outgrown_mb,
    )
