"""The listing and search tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chassis.database import Database, insert
from chassis.taking import take_due
from contracts.media import Medium
from contracts.tasks import Phase, Priority, Status, Task
from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, update
from sqlmodel import col

from submission.adapters.tables import HistoryRow, TagRow, TaskRow, TurnRow, WordRow
from submission.domain import Cursor, Sort, Tally, TaskFilter, searchable_text, words_of
from submission.ports import HistoryEntry, Page

BY_RANK = {priority.rank: priority for priority in Priority}
WAITING = [phase.value for phase in Phase if phase.status is Status.PENDING]
ALIVE = [phase.value for phase in Phase if not phase.terminal]

CHANGING = ("seq", "phase", "status", "priority", "updated_at", "record")
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
        column = _column(wanted.sort)
        query = select(TaskRow).where(col(TaskRow.project_id) == project_id, *_conditions(project_id, wanted))
        if after is not None:
            query = query.where(_beyond(column, after))
        order = (column.desc(), col(TaskRow.id).desc()) if wanted.sort.descending else (column, col(TaskRow.id))
        async with self._database.statement() as tx:
            rows = (await tx.execute(query.order_by(*order).limit(limit + 1))).all()
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(
            tasks=[Task.model_validate_json(row.record) for row in rows[:limit]],
            next=Cursor(wanted.sort, getattr(last, wanted.sort.column), last.id) if last else None,
        )

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
        kinds = (col(TaskRow.phase), col(TaskRow.medium), col(TaskRow.priority))
        query = (
            select(*kinds, func.count().label("number"), func.min(col(TaskRow.created_at)).label("oldest"))
            .where(col(TaskRow.project_id) == project_id, col(TaskRow.phase).in_(ALIVE))
            .group_by(*kinds)
        )
        async with self._database.statement() as tx:
            rows = (await tx.execute(query)).all()
        return [
            Tally(Phase(row.phase), Medium(row.medium), BY_RANK[row.priority], row.number, row.oldest) for row in rows
        ]

    async def first_waiting(self, project_id: str, limit: int) -> Sequence[Task]:
        query = (
            select(col(TaskRow.record))
            .where(col(TaskRow.project_id) == project_id, col(TaskRow.phase).in_(WAITING))
            .order_by(col(TaskRow.priority).desc(), col(TaskRow.created_at), col(TaskRow.id))
            .limit(limit)
        )
        async with self._database.statement() as tx:
            return [Task.model_validate_json(row.record) for row in (await tx.execute(query)).all()]

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
    }


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


def _column(sort: Sort) -> Any:
    return getattr(TaskRow, sort.column)


def _beyond(column: Any, cursor: Cursor) -> ColumnElement[bool]:
    id_ = col(TaskRow.id)
    if cursor.sort.descending:
        return or_(column < cursor.value, and_(column == cursor.value, id_ < cursor.task_id))
    return or_(column > cursor.value, and_(column == cursor.value, id_ > cursor.task_id))


def _conditions(project_id: str, wanted: TaskFilter) -> list[ColumnElement[bool]]:
    chosen = (
        (TaskRow.status, [status.value for status in wanted.statuses]),
        (TaskRow.medium, [medium.value for medium in wanted.media]),
        (TaskRow.model, list(wanted.models)),
        (TaskRow.priority, [priority.rank for priority in wanted.priorities]),
    )
    conditions: list[ColumnElement[bool]] = [col(column).in_(values) for column, values in chosen if values]
    for tag in wanted.tags:
        tagged = select(col(TagRow.task_id)).where(col(TagRow.project_id) == project_id, col(TagRow.tag) == tag)
        conditions.append(col(TaskRow.id).in_(tagged))
    for word in wanted.words:
        beginning = and_(col(WordRow.word) >= word, col(WordRow.word) < word + "\U0010ffff")
        worded = select(col(WordRow.task_id)).where(col(WordRow.project_id) == project_id, beginning)
        conditions.append(col(TaskRow.id).in_(worded))
    return conditions
