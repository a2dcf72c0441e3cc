"""How listings are narrowed and turned into pages."""

from typing import Any

from contracts.tasks import Task
from sqlalchemy import ColumnElement, Select, and_, exists, or_
from sqlmodel import col

from submission.adapters.tables import TagRow, TaskRow, WordRow
from submission.domain import Cursor, Sort, TaskFilter
from submission.ports import Page


def page_query(query: Select[Any], wanted: TaskFilter, limit: int, after: Cursor | None) -> Select[Any]:
    """One row more than fits on the page, so that it is known whether another follows."""
    column = _column(wanted.sort)
    if after is not None:
        query = query.where(_beyond(column, after))
    order = (column.desc(), col(TaskRow.id).desc()) if wanted.sort.descending else (column, col(TaskRow.id))
    return query.order_by(*order).limit(limit + 1)


def page_of(rows: Any, wanted: TaskFilter, limit: int) -> Page:
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(
        tasks=[Task.model_validate_json(row.record) for row in rows[:limit]],
        next=Cursor(wanted.sort, getattr(last, wanted.sort.column), last.id) if last else None,
    )


def conditions(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    chosen: tuple[tuple[Any, list[Any]], ...] = (
        (TaskRow.id, list(wanted.ids)),
        (TaskRow.project_id, list(wanted.projects)),
        (TaskRow.status, [status.value for status in wanted.statuses]),
        (TaskRow.phase, [phase.value for phase in wanted.phases]),
        (TaskRow.medium, [medium.value for medium in wanted.media]),
        (TaskRow.model, list(wanted.models)),
        (TaskRow.priority, [priority.rank for priority in wanted.priorities]),
    )
    found: list[ColumnElement[bool]] = [col(column).in_(values) for column, values in chosen if values]
    if wanted.created_before is not None:
        found.append(col(TaskRow.created_at) < wanted.created_before)
    return found


def tagged_anywhere(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    """Tags and words, of whatever project: looked up for each task that the other conditions leave."""
    of_task = col(TagRow.task_id) == col(TaskRow.id)
    found: list[ColumnElement[bool]] = [exists().where(of_task, col(TagRow.tag) == tag) for tag in wanted.tags]
    of_task = col(WordRow.task_id) == col(TaskRow.id)
    return found + [exists().where(of_task, begins(word)) for word in wanted.words]


def begins(word: str) -> ColumnElement[bool]:
    return and_(col(WordRow.word) >= word, col(WordRow.word) < word + "\U0010ffff")


def _column(sort: Sort) -> Any:
    return getattr(TaskRow, sort.column)


def _beyond(column: Any, cursor: Cursor) -> ColumnElement[bool]:
    id_ = col(TaskRow.id)
    if cursor.sort.descending:
        return or_(column < cursor.value, and_(column == cursor.value, id_ < cursor.task_id))
    return or_(column > cursor.value, and_(column == cursor.value, id_ > cursor.task_id))
