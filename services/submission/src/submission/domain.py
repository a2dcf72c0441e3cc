"""What submission decides, as plain functions over plain values."""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from contracts.catalog import ModelEntry
from contracts.errors import FieldProblem, IdempotencyMismatch, IllegalTransition, InvalidRequest, NotFound
from contracts.media import MediaResult, Medium
from contracts.queues import QueuedTask, TaskQueue
from contracts.tasks import PICK_UP_WITHIN, Phase, Priority, ReplayOf, Status, Task, TaskRequest
from contracts.workers import WorkerStatus
from pydantic_core import from_json

LONGEST_PAGE = 200
QUEUE_SHOWN = 100
WORDS_INDEXED = 64


@dataclass(frozen=True)
class Origin:
    """Who asks: which project, by which key a repetition is known, and what ties the logs together."""

    project_id: str
    task_id: str
    correlation_id: str
    traceparent: str | None = None


def new_task(
    request: TaskRequest, digest: str, origin: Origin, now: datetime, replay_of: ReplayOf | None = None
) -> Task:
    return Task(
        **{name: getattr(request, name) for name in TaskRequest.model_fields},
        id=origin.task_id,
        project_id=origin.project_id,
        request_digest=digest,
        correlation_id=origin.correlation_id,
        traceparent=origin.traceparent,
        replay_of=replay_of,
        phase_since=now,
        deadline=now + PICK_UP_WITHIN,
        created_at=now,
        updated_at=now,
    )


def own_task(task: Task | None, task_id: str, project_id: str) -> Task:
    """The task, if it is the project's. Raises `NotFound`, for an unknown id and for another project's alike."""
    if task is None or task.project_id != project_id:
        raise NotFound(f"no task {task_id} in this project")
    return task


def replay_request(original: Task) -> tuple[dict[str, Any], ReplayOf]:
    """The request that makes a done task's result again, as its provenance tells. Raises `IllegalTransition`.

    `client_ref` is left out: whoever files results by it would put the copy in the place of the original.
    """
    if original.phase is not Phase.DONE or original.produced is None or original.result is None:
        raise IllegalTransition(f"task {original.id} is {original.phase.value}: only a done task can be replayed")
    made = original.produced.provenance
    request = {
        "model": made.model,
        "params": made.params,
        "inputs": made.inputs,
        "title": original.title,
        "tags": list(original.tags),
    }
    return request, ReplayOf(task_id=original.id, media_id=original.result.id)


def replay_digest(replay_of: ReplayOf) -> str:
    """By which a repeated replay is known, whatever has become of the catalog's defaults."""
    return hashlib.sha256(f"replay {replay_of.task_id} {replay_of.media_id}".encode()).hexdigest()


def check_repetition(existing: Task, digest: str) -> Task:
    """The task a repeated request meets. Raises `IdempotencyMismatch` when it asks for something else."""
    if existing.request_digest != digest:
        raise IdempotencyMismatch(
            f"task {existing.id} was made with this key from another request; send a new key, or the same request"
        )
    return existing


def check_inputs(
    entry: ModelEntry, request: TaskRequest, project_id: str, found: dict[str, MediaResult | None]
) -> None:
    """Inputs must be stored media of the project, of the medium the model takes. Raises `InvalidRequest`."""
    wrong = []
    for name, media_id in request.inputs.items():
        media, wanted = found[name], entry.inputs[name].medium
        if media is None or media.project_id != project_id:
            problem = "no such media in this project"
        elif media.medium is not wanted:
            problem = f"is {media.medium.value}, not {wanted.value}"
        else:
            continue
        allowed = f"the id of a stored {wanted.value} of the same project"
        wrong.append(FieldProblem(field=f"inputs.{name}", detail=problem, allowed=allowed, given=media_id))
    if wrong:
        raise InvalidRequest(f"{len(wrong)} input(s) cannot be used", wrong)


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
    """Which tasks of a project to list. Every part narrows; parts left empty do not."""

    statuses: Sequence[Status] = ()
    media: Sequence[Medium] = ()
    models: Sequence[str] = ()
    priorities: Sequence[Priority] = ()
    tags: Sequence[str] = ()
    """All of them must be on the task."""
    words: Sequence[str] = ()
    """All of them must begin a word of the title or the prompt."""
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
    """How many of a project's tasks are in a phase, by medium and priority, and since when the oldest is."""

    phase: Phase
    medium: Medium
    priority: Priority
    count: int
    oldest: datetime


def queue_of(project_id: str, tallies: Sequence[Tally], first: Sequence[Task], now: datetime) -> TaskQueue:
    """The queue as a whole by its tallies, and task by task for the `first` that wait."""
    waiting = [tally for tally in tallies if tally.phase.status is Status.PENDING]
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
        processing=sum(tally.count for tally in tallies if tally.phase.status is Status.PROCESSING),
        waiting_by_medium=by_medium,
        waiting_by_priority=by_priority,
        oldest_waiting_seconds=max((_seconds(tally.oldest, now) for tally in waiting), default=None),
        tasks=tuple(shown),
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
        waiting_since=task.created_at,
        waiting_seconds=_seconds(task.created_at, now),
    )


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())


def without_runs(workers: Iterable[WorkerStatus]) -> list[WorkerStatus]:
    """Workers as a project may see them: what they run may belong to others."""
    return [worker.model_copy(update={"runs": ()}) for worker in workers]
