"""Tasks as they are searched, listed and counted."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from contracts.budgets import BudgetReport
from contracts.errors import FieldProblem, InvalidRequest
from contracts.media import Medium
from contracts.pauses import PauseView
from contracts.queues import QueuedTask, TaskQueue
from contracts.tasks import Phase, Priority, Status, Task
from contracts.workers import WorkerStatus
from pydantic_core import from_json

LONGEST_PAGE = 200
QUEUE_SHOWN = 100
WORDS_INDEXED = 64

NOT_YET = (Phase.BLOCKED, Phase.SCHEDULED)
WAITING = tuple(phase for phase in Phase if phase.status is Status.PENDING and phase not in NOT_YET)


class Sort(StrEnum):
    NEWEST = "-created_at"
    OLDEST = "created_at"
    LATEST_CHANGE = "-updated_at"
    EARLIEST_CHANGE = "updated_at"
    HIGHEST_PRIORITY = "-priority"
    LOWEST_PRIORITY = "priority"

    @property
    def descending(self) -> bool:
        return self.value.startswith("-")

    @property
    def column(self) -> str:
        return self.value.lstrip("-")


@dataclass(frozen=True)
class TaskFilter:
    """Which tasks to list. Every part narrows; parts left empty do not."""

    ids: Sequence[str] = ()
    projects: Sequence[str] = ()
    """For who may see several."""
    phases: Sequence[Phase] = ()
    statuses: Sequence[Status] = ()
    media: Sequence[Medium] = ()
    models: Sequence[str] = ()
    priorities: Sequence[Priority] = ()
    tags: Sequence[str] = ()
    """All of them must be on the task."""
    words: Sequence[str] = ()
    """All of them must begin a word of the title or the prompt."""
    created_before: datetime | None = None
    sort: Sort = Sort.NEWEST


@dataclass(frozen=True)
class Cursor:
    """Where a page ended: the last task's sort value and its id, which breaks ties."""

    sort: Sort
    value: datetime | int
    task_id: str

    def __str__(self) -> str:
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        return base64.urlsafe_b64encode(json.dumps([self.sort.value, value, self.task_id]).encode()).decode()


def read_cursor(text: str, sort: Sort) -> Cursor:
    """Raises `InvalidRequest` for what is no cursor, or one of another order."""
    try:
        name, value, task_id = from_json(base64.urlsafe_b64decode(text.encode()))
        made_for = Sort(name)
        place = _rank(value) if made_for.column == "priority" else _moment(value)
    except (ValueError, TypeError, OverflowError):
        raise _bad_cursor(text, "is not one that this API has given out") from None
    if made_for is not sort:
        raise _bad_cursor(text, f"was given out for sort={made_for.value}")
    return Cursor(made_for, place, str(task_id))


def _rank(value: object) -> int:
    if not isinstance(value, int) or value not in range(len(Priority)):
        raise ValueError("no rank of a priority")
    return value


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or (moment := datetime.fromisoformat(value)).tzinfo is None:
        raise ValueError("no moment")
    return moment.astimezone(UTC)


def _bad_cursor(text: str, detail: str) -> InvalidRequest:
    return InvalidRequest("the cursor cannot be used", [FieldProblem(field="cursor", detail=detail, given=text[:200])])


def words_of(text: str) -> list[str]:
    """The words a text is found by, lower case, each once, the first `WORDS_INDEXED` of them."""
    found = dict.fromkeys(word[:64] for word in re.findall(r"\w+", text.lower()))
    return list(found)[:WORDS_INDEXED]


def searchable_text(task: Task) -> str:
    """Title, client's own id and every text parameter."""
    texts = [task.title or "", task.client_ref or "", *(v for v in task.params.values() if isinstance(v, str))]
    return " ".join(texts)


@dataclass(frozen=True)
class Tally:
    """How many of a project's tasks are in a phase, by medium, priority and model, and since when the oldest is."""

    phase: Phase
    medium: Medium
    priority: Priority
    model: str
    count: int
    oldest: datetime


def queue_of(
    project_id: str,
    tallies: Sequence[Tally],
    first: Sequence[Task],
    now: datetime,
    budget: BudgetReport | None,
    paused: Sequence[PauseView],
) -> TaskQueue:
    """The queue as a whole by its tallies, and task by task for the `first` that wait."""
    waiting = [tally for tally in tallies if tally.phase in WAITING]
    by_medium = {m: sum(tally.count for tally in waiting if tally.medium is m) for m in Medium}
    by_priority = {p: sum(tally.count for tally in waiting if tally.priority is p) for p in Priority}
    positions: Counter[Medium] = Counter()
    shown = []
    for task in first:
        positions[task.medium] += 1
        shown.append(_queued(task, positions[task.medium], now))
    return TaskQueue(
        project_id=project_id,
        waiting=sum(by_medium.values()),
        blocked=sum(tally.count for tally in tallies if tally.phase is Phase.BLOCKED),
        scheduled=sum(tally.count for tally in tallies if tally.phase is Phase.SCHEDULED),
        processing=sum(tally.count for tally in tallies if tally.phase.status is Status.PROCESSING),
        waiting_by_medium=by_medium,
        waiting_by_priority=by_priority,
        oldest_waiting_seconds=max((_seconds(tally.oldest, now) for tally in waiting), default=None),
        tasks=tuple(shown),
        budget=budget,
        paused=tuple(paused),
    )


def _queued(task: Task, position: int, now: datetime) -> QueuedTask:
    return QueuedTask(
        position=position,
        task_id=task.id,
        model=task.model,
        medium=task.medium,
        priority=task.priority,
        phase=task.phase,
        title=task.title,
        waiting_since=task.waits_since,
        waiting_seconds=_seconds(task.waits_since, now),
    )


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())


def without_runs(workers: Iterable[WorkerStatus]) -> list[WorkerStatus]:
    """Workers as a project may see them: what they run may belong to others."""
    return [worker.model_copy(update={"runs": ()}) for worker in workers]
