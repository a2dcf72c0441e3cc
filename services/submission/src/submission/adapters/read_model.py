"""The listing and search tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chassis.database import Database
from contracts.media import Medium
from contracts.tasks import Phase, Priority, Status, Task
from sqlalchemy import ColumnElement, and_, func, or_, update
from sqlalchemy import select as columns
from sqlmodel import col, select

from submission.adapters.tables import HistoryRow, TagRow, TaskRow, WordRow
from submission.domain import PRIORITY_RANK, Cursor, Sort, Tally, TaskFilter, searchable_text, words_of
from submission.ports import HistoryEntry, Page

BY_RANK: dict[int, Priority] = {rank: priority for priority, rank in PRIORITY_RANK.items()}
WAITING = [phase.value for phase in Phase if phase.status is Status.PENDING]
ALIVE = [phase.value for phase in Phase if not phase.terminal]


class SqlReadModel:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, task: Task, event_id: str, change: str) -> None:
        insert = self._database.insert
        row = {
            "id": task.id,
            "project_id": task.project_id,
            "seq": task.seq,
            "phase": task.phase.value,
            "status": task.status.value,
            "medium": task.medium.value,
            "model": task.model,
            "priority": PRIORITY_RANK[task.priority],
            "created_at": task.created_at,
            "updated_at": task.updated_at,
            "record": task.model_dump_json(),
        }
        event = {
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
        changed = {name: value for name, value in row.items() if name not in ("id", "project_id", "created_at")}
        newer = update(TaskRow).where(col(TaskRow.id) == task.id, col(TaskRow.seq) < task.seq).values(changed)
        async with self._database.transaction() as session:
            await session.exec(insert(HistoryRow).values(event).on_conflict_do_nothing())
            added = await session.exec(insert(TaskRow).values(row).on_conflict_do_nothing().returning(col(TaskRow.id)))
            if added.first() is None:
                await session.exec(newer)
                return
            for table, rows in ((TagRow, _tags(task)), (WordRow, _words(task))):
                if rows:
                    await session.exec(insert(table).values(rows).on_conflict_do_nothing())

    async def list(self, project_id: str, wanted: TaskFilter, limit: int, after: Cursor | None) -> Page:
        column = _column(wanted.sort)
        query = select(TaskRow).where(TaskRow.project_id == project_id, *_conditions(project_id, wanted))
        if after is not None:
            query = query.where(_beyond(column, after))
        order = (column.desc(), col(TaskRow.id).desc()) if wanted.sort.descending else (column, col(TaskRow.id))
        async with self._database.transaction() as session:
            rows = (await session.exec(query.order_by(*order).limit(limit + 1))).all()
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(
            tasks=[Task.model_validate_json(row.record) for row in rows[:limit]],
            next=Cursor(wanted.sort, _sort_value(last, wanted.sort), last.id) if last else None,
        )

    async def tallies(self, project_id: str) -> Sequence[Tally]:
        kinds = (col(TaskRow.phase), col(TaskRow.medium), col(TaskRow.priority))
        query: Any = (
            columns(*kinds, func.count(), func.min(col(TaskRow.created_at)))
            .where(col(TaskRow.project_id) == project_id, col(TaskRow.phase).in_(ALIVE))
            .group_by(*kinds)
        )
        async with self._database.transaction() as session:
            rows = (await session.exec(query)).all()
        return [
            Tally(Phase(phase), Medium(medium), BY_RANK[rank], count, oldest)
            for phase, medium, rank, count, oldest in rows
        ]

    async def first_waiting(self, project_id: str, limit: int) -> Sequence[Task]:
        query = (
            select(TaskRow.record)
            .where(TaskRow.project_id == project_id, col(TaskRow.phase).in_(WAITING))
            .order_by(col(TaskRow.priority).desc(), col(TaskRow.created_at), col(TaskRow.id))
            .limit(limit)
        )
        async with self._database.transaction() as session:
            return [Task.model_validate_json(record) for record in (await session.exec(query)).all()]

    async def history(self, task_id: str) -> Sequence[HistoryEntry]:
        query = select(HistoryRow).where(HistoryRow.task_id == task_id).order_by(col(HistoryRow.seq))
        async with self._database.transaction() as session:
            rows = (await session.exec(query)).all()
        return [
            HistoryEntry(row.event_id, row.type, row.at, row.seq, row.phase, row.attempt, row.worker_id, row.detail)
            for row in rows
        ]


def _tags(task: Task) -> list[dict[str, str]]:
    return [{"task_id": task.id, "tag": tag, "project_id": task.project_id} for tag in dict.fromkeys(task.tags)]


def _words(task: Task) -> list[dict[str, str]]:
    words = words_of(searchable_text(task))
    return [{"task_id": task.id, "word": word, "project_id": task.project_id} for word in words]


def _column(sort: Sort) -> Any:
    return {
        "created_at": col(TaskRow.created_at),
        "updated_at": col(TaskRow.updated_at),
        "priority": col(TaskRow.priority),
    }[sort.column]


def _sort_value(row: TaskRow, sort: Sort) -> str | int:
    value = getattr(row, sort.column)
    return value.isoformat() if isinstance(value, datetime) else int(value)


def _beyond(column: Any, cursor: Cursor) -> ColumnElement[bool]:
    value: Any = cursor.value if isinstance(cursor.value, int) else datetime.fromisoformat(cursor.value)
    id_ = col(TaskRow.id)
    if cursor.sort.descending:
        return or_(column < value, and_(column == value, id_ < cursor.task_id))
    return or_(column > value, and_(column == value, id_ > cursor.task_id))


def _conditions(project_id: str, wanted: TaskFilter) -> list[ColumnElement[bool]]:
    chosen = (
        (TaskRow.status, [status.value for status in wanted.statuses]),
        (TaskRow.medium, [medium.value for medium in wanted.media]),
        (TaskRow.model, list(wanted.models)),
        (TaskRow.priority, [PRIORITY_RANK[priority] for priority in wanted.priorities]),
    )
    conditions: list[ColumnElement[bool]] = [col(column).in_(values) for column, values in chosen if values]
    for tag in wanted.tags:
        tagged = select(TagRow.task_id).where(TagRow.project_id == project_id, TagRow.tag == tag)
        conditions.append(col(TaskRow.id).in_(tagged))
    for word in wanted.words:
        beginning = and_(col(WordRow.word) >= word, col(WordRow.word) < word + "\U0010ffff")
        worded = select(WordRow.task_id).where(WordRow.project_id == project_id, beginning)
        conditions.append(col(TaskRow.id).in_(worded))
    return conditions
