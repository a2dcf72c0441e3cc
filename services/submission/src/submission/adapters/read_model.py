"""The listing and search tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chassis.database import Database, insert
from chassis.taking import take_due
from contracts.media import Medium
from contracts.tasks import Phase, Priority, Task, Waste, gpu_seconds, wasted_seconds
from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, update
from sqlmodel import col

from submission.adapters.searching import begins, conditions, page_of, page_query
from submission.adapters.tables import HistoryRow, TagRow, TaskRow, TurnRow, WordRow
from submission.domain import WAITING, Cursor, Tally, TaskFilter, searchable_text, words_of
from submission.domain.budgets import STARTABLE
from submission.domain.used import Used
from submission.ports import HistoryEntry, Page

BY_RANK = {priority.rank: priority for priority in Priority}
WAITING_PHASES = [phase.value for phase in WAITING]
ALIVE = [phase.value for phase in Phase if not phase.terminal]

USED = ("gpu_seconds", "cold_start_seconds", "lost_seconds")
CHANGING = ("seq", "phase", "status", "priority", "updated_at", "record", *USED)
ADD = insert(TaskRow).on_conflict_do_nothing()
ADD_EVENT = insert(HistoryRow).on_conflict_do_nothing()
ADD_TAGS = insert(TagRow).on_conflict_do_nothing()
ADD_TURN = insert(TurnRow).on_conflict_do_nothing()
ADD_WORDS = insert(WordRow).on_conflict_do_nothing()
TURN_DUE = select(TurnRow).where(col(TurnRow.due) <= bindparam("now"))
UPDATE_IF_NEWER = (
    update(TaskRow)
    .where(col(TaskRow.id) == bindparam("task_id"), col(TaskRow.seq) < bindparam("new_seq"))
    .values({name: bindparam(f"new_{name}") for name in CHANGING})
)


class SqlReadModel:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, task: Task, event_id: str, change: str) -> None:
        row = _row(task)
        async with self._database.transaction() as tx:
            if (await tx.execute(ADD_EVENT, _event(task, event_id, change))).rowcount == 0:
                return
            newer = {f"new_{name}": row[name] for name in CHANGING}
            if task.seq > 1 and (await tx.execute(UPDATE_IF_NEWER, {"task_id": task.id, **newer})).rowcount:
                return
            if (await tx.execute(ADD, row)).rowcount == 0:
                # Another replica was adding it, perhaps as it was before.
                await tx.execute(UPDATE_IF_NEWER, {"task_id": task.id, **newer})
                return
            for statement, rows in ((ADD_TAGS, _tags(task)), (ADD_WORDS, _words(task))):
                if rows:
                    await tx.execute(statement, rows)

    async def list(self, project_id: str, wanted: TaskFilter, limit: int, after: Cursor | None) -> Page:
        own = select(TaskRow).where(col(TaskRow.project_id) == project_id, *conditions(wanted))
        query = page_query(own.where(*_tagged(project_id, wanted)), wanted, limit, after)
        async with self._database.statement() as tx:
            return page_of((await tx.execute(query)).all(), wanted, limit)

    async def take_turn(self, now: datetime, until: datetime) -> str | None:
        async with self._database.statement() as tx:
            await tx.execute(ADD_TURN, {"id": 1, "due": now, "behind": ""})
        for turn in await take_due(self._database, TURN_DUE, {"now": now}, TurnRow, until):
            return str(turn.behind)
        return None

    async def next_turn_behind(self, task_id: str) -> None:
        async with self._database.statement() as tx:
            await tx.execute(update(TurnRow).values(behind=task_id))

    async def quiet_since(self, then: datetime, after: str, limit: int) -> Sequence[tuple[str, int]]:
        quiet = select(col(TaskRow.id), col(TaskRow.seq)).where(
            col(TaskRow.phase).in_(ALIVE), col(TaskRow.updated_at) < then, col(TaskRow.id) > after
        )
        async with self._database.statement() as tx:
            found = (await tx.execute(quiet.order_by(col(TaskRow.id)).limit(limit))).all()
        return [(row.id, row.seq) for row in found]

    async def correct(self, task: Task, heard_seq: int) -> None:
        row = _row(task)
        changed = {name: row[name] for name in CHANGING}
        as_heard = update(TaskRow).where(col(TaskRow.id) == task.id, col(TaskRow.seq) == heard_seq)
        async with self._database.statement() as tx:
            await tx.execute(as_heard.values(changed))

    async def tallies(self, project_id: str) -> Sequence[Tally]:
        kinds = (col(TaskRow.phase), col(TaskRow.medium), col(TaskRow.priority), col(TaskRow.model))
        query = (
            select(*kinds, func.count().label("number"), func.min(col(TaskRow.created_at)).label("oldest"))
            .where(col(TaskRow.project_id) == project_id, col(TaskRow.phase).in_(ALIVE))
            .group_by(*kinds)
        )
        async with self._database.statement() as tx:
            rows = (await tx.execute(query)).all()
        return [
            Tally(Phase(row.phase), Medium(row.medium), BY_RANK[row.priority], row.model, row.number, row.oldest)
            for row in rows
        ]

    async def used(self, project_id: str, since: datetime | None, until: datetime | None) -> Sequence[Used]:
        kinds = (col(TaskRow.phase), col(TaskRow.medium))
        sums = [func.sum(col(getattr(TaskRow, name))).label(name) for name in USED]
        asked = [col(TaskRow.project_id) == project_id]
        asked += [col(TaskRow.created_at) >= since] if since else []
        asked += [col(TaskRow.created_at) < until] if until else []
        query = select(*kinds, func.count().label("number"), *sums).where(*asked).group_by(*kinds)
        async with self._database.statement() as tx:
            rows = (await tx.execute(query)).all()
        return [
            Used(Phase(row.phase), Medium(row.medium), row.number, *(getattr(row, name) for name in USED))
            for row in rows
        ]

    async def waiting_before(self, task: Task) -> Mapping[str, int]:
        earlier = and_(col(TaskRow.priority) == task.priority.rank, col(TaskRow.created_at) < task.created_at)
        query = select(col(TaskRow.model), func.count().label("number")).where(
            col(TaskRow.project_id) == task.project_id,
            col(TaskRow.phase).in_([phase.value for phase in STARTABLE]),
            or_(col(TaskRow.priority) > task.priority.rank, earlier),
        )
        async with self._database.statement() as tx:
            rows = (await tx.execute(query.group_by(col(TaskRow.model)))).all()
        return {row.model: row.number for row in rows}

    async def first_waiting(self, project_id: str, limit: int) -> Sequence[Task]:
        query = (
            select(col(TaskRow.record))
            .where(col(TaskRow.project_id) == project_id, col(TaskRow.phase).in_(WAITING_PHASES))
            .order_by(col(TaskRow.priority).desc(), col(TaskRow.created_at), col(TaskRow.id))
            .limit(limit)
        )
        async with self._database.statement() as tx:
            return [Task.model_validate_json(row.record) for row in (await tx.execute(query)).all()]

    async def of_ids(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        query = select(col(TaskRow.record)).where(col(TaskRow.id).in_(task_ids))
        async with self._database.statement() as tx:
            found = [Task.model_validate_json(row.record) for row in (await tx.execute(query)).all()]
        return {task.id: task for task in found}

    async def history(self, task_id: str) -> Sequence[HistoryEntry]:
        query = select(HistoryRow).where(col(HistoryRow.task_id) == task_id).order_by(col(HistoryRow.seq))
        async with self._database.statement() as tx:
            rows = (await tx.execute(query)).all()
        return [
            HistoryEntry(row.event_id, row.type, row.at, row.seq, row.phase, row.attempt, row.worker_id, row.detail)
            for row in rows
        ]


def _row(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "project_id": task.project_id,
        "seq": task.seq,
        "phase": task.phase.value,
        "status": task.status.value,
        "medium": task.medium.value,
        "model": task.model,
        "priority": task.priority.rank,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "record": task.model_dump_json(),
        **_used(task),
    }


def _used(task: Task) -> dict[str, float]:
    wasted = wasted_seconds(task)
    cold = wasted.pop(Waste.COLD_START, 0.0)
    return dict(zip(USED, (gpu_seconds(task), cold, sum(wasted.values())), strict=True))


def _event(task: Task, event_id: str, change: str) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "task_id": task.id,
        "type": change,
        "at": task.updated_at,
        "seq": task.seq,
        "phase": task.phase.value,
        "attempt": task.attempt,
        "worker_id": task.worker_id,
        "detail": task.error.detail if task.error else None,
    }


def _tags(task: Task) -> list[dict[str, str]]:
    return [{"task_id": task.id, "tag": tag, "project_id": task.project_id} for tag in dict.fromkeys(task.tags)]


def _words(task: Task) -> list[dict[str, str]]:
    words = words_of(searchable_text(task))
    return [{"task_id": task.id, "word": word, "project_id": task.project_id} for word in words]


def _tagged(project_id: str, wanted: TaskFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for tag in wanted.tags:
        tagged = select(col(TagRow.task_id)).where(col(TagRow.project_id) == project_id, col(TagRow.tag) == tag)
        found.append(col(TaskRow.id).in_(tagged))
    for word in wanted.words:
        worded = select(col(WordRow.task_id)).where(col(WordRow.project_id) == project_id, begins(word))
        found.append(col(TaskRow.id).in_(worded))
    return found
