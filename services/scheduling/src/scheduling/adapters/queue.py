"""The queue as a table that replicas share: whatever decides is one statement, never a read and then a write."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from chassis.database import Database, Transaction, insert
from contracts.media import Medium
from contracts.tasks import Owner, Phase, Task, gpu_seconds
from sqlalchemy import ColumnElement, Select, and_, bindparam, case, delete, distinct, false, func, or_, select, update
from sqlmodel import col

from scheduling.adapters.ledger import charge
from scheduling.adapters.tables import EntryRow, NeedRow
from scheduling.domain.backlog import Kind
from scheduling.domain.company import Company
from scheduling.domain.watching import REMEMBERED, hard_deadline, startable_at
from scheduling.ports import Backlog, Entry, News

NOT_YET = (Phase.BLOCKED.value, Phase.SCHEDULED.value)
STARTABLE = (Phase.QUEUED.value, Phase.RETRY_WAIT.value)
RUNNING = tuple(phase.value for phase in Phase if phase.owner is Owner.WORKER)
HELD = (Phase.ASSIGNED.value, *RUNNING)
UNDER_WAY = (*HELD, Phase.STORING.value)
ENDED = tuple(phase.value for phase in Phase if phase.terminal)

_INSERT = insert(EntryRow)
NEW = _INSERT.excluded
NEWER = col(EntryRow.seq) < NEW.seq
MAY_START = and_(
    col(EntryRow.phase).in_(STARTABLE),
    or_(col(EntryRow.not_before).is_(None), col(EntryRow.not_before) <= bindparam("now")),
)
SAME_PHASE = and_(col(EntryRow.attempt) == NEW.attempt, col(EntryRow.phase) == NEW.phase)


def _keep_if(worth: ColumnElement[bool], woken: ColumnElement[bool]) -> Any:
    """Writes the row if there is none, or if the one there is worth replacing; returns nothing if it is not.

    What counts from the moment a phase was heard of stays while the phase does, and an earlier look if it was `woken`.
    """
    limit = col(EntryRow.hard_deadline)
    limited = and_(SAME_PHASE, limit > NEW.phase_heard_at, limit < NEW.look_at)
    sooner = and_(woken, col(EntryRow.look_at) < NEW.look_at)
    written = {
        **{column.name: column for column in NEW},
        **{
            name: case((SAME_PHASE, col(getattr(EntryRow, name))), else_=NEW[name])
            for name in ("phase_heard_at", "not_before", "hard_deadline", "held")
        },
        "look_at": case((sooner, col(EntryRow.look_at)), (limited, limit), else_=NEW.look_at),
        # The record knows better only than what was never so, and than what did not wait yet.
        "since": case(
            (or_(col(EntryRow.seq) > NEW.seq, col(EntryRow.phase).in_(NOT_YET)), NEW.since),
            else_=col(EntryRow.since),
        ),
    }
    keep = _INSERT.on_conflict_do_update(index_elements=["task_id"], set_=written, where=worth)
    return keep.returning(col(EntryRow.phase_heard_at))


def _ready() -> Select[Any]:
    """What may start, the longest waiting first; so many alike ones of a project and priority."""
    place = func.row_number().over(
        partition_by=(col(EntryRow.project_id), col(EntryRow.rank), col(EntryRow.model), col(EntryRow.outgrown_mb)),
        order_by=(col(EntryRow.since), col(EntryRow.task_id)),
    )
    of_medium = col(EntryRow.medium) == bindparam("medium")
    placed = select(col(EntryRow.task_id), place.label("place")).where(of_medium, MAY_START).subquery()
    query = select(EntryRow).join(placed, placed.c.task_id == EntryRow.task_id)
    return query.where(placed.c.place <= bindparam("most_alike"))


HEAR = _keep_if(NEWER, woken=false())
AS_HEARD = and_(col(EntryRow.seq) == bindparam("heard_seq"), col(EntryRow.look_at).is_not(None))
CORRECT = _keep_if(or_(NEWER, AS_HEARD), woken=col(EntryRow.look_at) != bindparam("seen_look_at"))
FORGET = (
    update(EntryRow)
    .where(
        col(EntryRow.task_id) == bindparam("ended_id"),
        col(EntryRow.seq) <= bindparam("ended_at_seq"),
        col(EntryRow.phase).in_(ENDED),
    )
    .values(look_at=None, forget_at=bindparam("until"))
)
FORGOTTEN = col(EntryRow.forget_at) <= bindparam("now")
SWEEP_NEEDS = delete(NeedRow).where(col(NeedRow.task_id).in_(select(col(EntryRow.task_id)).where(FORGOTTEN)))
SWEEP = delete(EntryRow).where(FORGOTTEN)
ADD_NEEDS = insert(NeedRow).on_conflict_do_nothing()
READY = _ready()
HELD_OF_MEDIUM = select(EntryRow).where(col(EntryRow.medium) == bindparam("medium"), col(EntryRow.phase).in_(HELD))
IS_HELD = col(EntryRow.phase).in_(HELD)
KIND = col(EntryRow.project_id), col(EntryRow.medium), col(EntryRow.model)
BACKLOG = (
    select(*KIND, col(EntryRow.phase), func.count().label("tasks"))
    .where(or_(MAY_START, IS_HELD))
    .group_by(*KIND, col(EntryRow.phase))
)
BUSY_WORKERS = (
    select(col(EntryRow.medium), col(EntryRow.model), func.count(distinct(col(EntryRow.worker_id))).label("workers"))
    .where(IS_HELD)
    .group_by(col(EntryRow.medium), col(EntryRow.model))
)
HOLD = (
    update(EntryRow)
    .where(col(EntryRow.task_id) == bindparam("held_id"), col(EntryRow.phase) == Phase.SCHEDULED.value)
    .values(held=True, look_at=bindparam("until"))
)
WAKE_HELD = (
    update(EntryRow)
    .where(
        col(EntryRow.series_id) == bindparam("of_series"),
        col(EntryRow.phase) == Phase.SCHEDULED.value,
        col(EntryRow.held),
    )
    .values(look_at=bindparam("now"))
)
WAKE_NEEDING = (
    update(EntryRow)
    .where(
        col(EntryRow.task_id).in_(select(col(NeedRow.task_id)).where(col(NeedRow.needed_id) == bindparam("ended"))),
        col(EntryRow.phase) == Phase.BLOCKED.value,
    )
    .values(look_at=bindparam("now"))
)
OF_SERIES = select(col(EntryRow.task_id)).where(
    col(EntryRow.series_id) == bindparam("of_series"), col(EntryRow.phase).not_in(ENDED)
)
DUE = select(EntryRow).where(col(EntryRow.look_at) <= bindparam("now")).order_by(col(EntryRow.look_at))
NEXT_DUE = select(func.min(col(EntryRow.look_at)))


class SqlQueue:
    def __init__(
        self,
        database: Database,
        half_life: timedelta,
        company: Callable[[Task], Company],
        on_news: Callable[[News], None],
    ) -> None:
        self._database = database
        self._half_life = half_life
        self._company = company
        self._on_news = on_news

    async def hear(self, task: Task, now: datetime, look_again_at: datetime) -> bool:
        return await self._keep(HEAR, task, self._row(task, now, look_again_at), now)

    async def correct(
        self, task: Task, heard_seq: int, now: datetime, look_again_at: datetime, seen_look_at: datetime | None = None
    ) -> None:
        row = {**self._row(task, now, look_again_at), "heard_seq": heard_seq, "seen_look_at": seen_look_at}
        await self._keep(CORRECT, task, row, now)

    async def _keep(self, keep: Any, task: Task, row: dict[str, Any], now: datetime) -> bool:
        seconds, charged = gpu_seconds(task), 0.0
        async with self._database.transaction() as tx:
            written = (await tx.execute(keep, row)).first()
            kept = written is not None
            if kept and task.phase is Phase.BLOCKED:
                needs = [{"task_id": task.id, "needed_id": needed} for needed in sorted(set(task.needs.values()))]
                await tx.execute(ADD_NEEDS, needs)
            if kept and seconds > 0:
                charged = await charge(tx, task.id, task.project_id, seconds, now, self._half_life)
        if written is not None:
            self._on_news(News(task, written.phase_heard_at == now, charged))
        return kept

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
            "since": min(task.waits_since, now),
            "not_before": startable_at(task, now),
            "hard_deadline": hard_deadline(task, now),
            "look_at": look_again_at,
            "forget_at": None,
            "alike": company.alike,
            "most_together": company.most,
            "outgrown_mb": task.outgrown_mb,
            "series_id": task.series.id if task.series else None,
            "held": False,
        }

    async def forget(self, task_id: str, ended_at_seq: int, now: datetime) -> None:
        ended = {"ended_id": task_id, "ended_at_seq": ended_at_seq, "until": now + REMEMBERED}
        async with self._database.statement() as tx:
            await tx.execute(FORGET, ended)

    async def sweep(self, now: datetime) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(SWEEP_NEEDS, {"now": now})
            await tx.execute(SWEEP, {"now": now})

    async def remove(self, task_id: str) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(delete(NeedRow).where(col(NeedRow.task_id) == task_id))
            await tx.execute(delete(EntryRow).where(col(EntryRow.task_id) == task_id))

    async def ready(self, medium: Medium, now: datetime, most_alike: int) -> Sequence[Entry]:
        return await self._entries(READY, {"medium": medium.value, "now": now, "most_alike": most_alike})

    async def held(self, medium: Medium) -> Sequence[Entry]:
        return await self._entries(HELD_OF_MEDIUM, {"medium": medium.value})

    async def under_way(self) -> Sequence[Entry]:
        return await self._entries(select(EntryRow).where(col(EntryRow.phase).in_(UNDER_WAY)), {})

    async def held_of(self, project_ids: Collection[str]) -> Sequence[Entry]:
        of_projects = col(EntryRow.project_id).in_([*project_ids]), col(EntryRow.phase).in_(HELD)
        return await self._entries(select(EntryRow).where(*of_projects), {})

    async def backlog(self, now: datetime) -> Backlog:
        async with self._database.transaction() as tx:
            rows = (await tx.execute(BACKLOG, {"now": now})).all()
            busy = (await tx.execute(BUSY_WORKERS)).all()
        queued, running = Counter[Kind](), Counter[Kind]()
        for row in rows:
            kind = Kind(row.project_id, Medium(row.medium), row.model)
            (running if row.phase in HELD else queued)[kind] += row.tasks
        return Backlog(queued, running, {(Medium(row.medium), row.model): row.workers for row in busy})

    async def look_again(self, task_id: str, seq: int, at: datetime) -> None:
        async with self._database.statement() as tx:
            there = col(EntryRow.task_id) == task_id, col(EntryRow.seq) == seq, col(EntryRow.look_at).is_not(None)
            await tx.execute(update(EntryRow).where(*there).values(look_at=at))

    async def renew(self, worker_id: str, runs: Sequence[tuple[str, int]], until: datetime) -> None:
        named = or_(*(and_(col(EntryRow.task_id) == task, col(EntryRow.attempt) == attempt) for task, attempt in runs))
        async with self._database.transaction() as tx:
            await _put_off(tx, until, col(EntryRow.worker_id) == worker_id, named)

    async def renew_all(self, until: datetime) -> None:
        async with self._database.transaction() as tx:
            await _put_off(tx, until)

    async def hold(self, task_id: str, look_again_at: datetime) -> None:
        async with self._database.statement() as tx:
            await tx.execute(HOLD, {"held_id": task_id, "until": look_again_at})

    async def wake_held(self, series_id: str, now: datetime) -> bool:
        async with self._database.statement() as tx:
            return bool((await tx.execute(WAKE_HELD, {"of_series": series_id, "now": now})).rowcount)

    async def wake_needing(self, task_id: str, now: datetime) -> bool:
        async with self._database.statement() as tx:
            return bool((await tx.execute(WAKE_NEEDING, {"ended": task_id, "now": now})).rowcount)

    async def of_series(self, series_id: str) -> Sequence[str]:
        async with self._database.statement() as tx:
            return (await tx.execute(OF_SERIES, {"of_series": series_id})).scalars().all()

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
        look_at=row.look_at,
        attempt=row.attempt,
        seq=row.seq,
        worker_id=row.worker_id,
        since=row.since,
        company=Company(row.alike, row.most_together),
        outgrown_mb=row.outgrown_mb,
        series_id=row.series_id,
        held=row.held,
    )
