"""Every event's data, its versioned types and its topics."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from contracts.errors import MalformedEvent, Problem
from contracts.events.envelope import CloudEvent, Event, reasons
from contracts.identifiers import Moment, PlainText, ProjectId, RequestKey, Tag, TaskId, WorkerId
from contracts.media import Medium
from contracts.operators import OperatorName
from contracts.tasks import Phase, ProcessingProgress, Status, Task
from contracts.topics import (
    ASSIGNMENTS,
    DEAD_LETTERS,
    FEED_WATCHERS,
    OPERATOR_ACTIONS,
    QUEUE_UPDATES,
    REMINDERS,
    TASK_CONTROL,
    TASK_EVENTS,
    TASK_REQUESTS,
    TASK_UPDATES,
    WORKER_HEARTBEATS,
)
from contracts.workers import WorkerStatus

MOST_PARTS = 50
"""That are watched, in one event: with the longest tags as JSON writes them these still fit into it."""


class TaskRequested(Event):
    """Somebody wants media made. Everything beside the project is checked against the catalog."""

    types = ("task.requested.v1",)
    topics = (TASK_REQUESTS,)
    model_config = ConfigDict(frozen=True, extra="allow")

    project_id: ProjectId

    @property
    def request(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class TaskRejected(Event):
    """The answer to a `task.requested` event that cannot become a task."""

    types = ("task.rejected.v1",)
    topics = (TASK_EVENTS,)

    request_id: str
    project_id: ProjectId
    client_ref: str | None = None
    problem: Problem


class TaskChanged(Event):
    """A task's lifecycle, one type per milestone, each with the whole record as it is now."""

    types = (
        "task.accepted.v1",
        "task.scheduled.v1",
        "task.queued.v1",
        "task.assigned.v1",
        "task.processing.v1",
        "media.produced.v1",
        "task.retrying.v1",
        "task.done.v1",
        "task.failed.v1",
        "task.cancelled.v1",
        "task.expired.v1",
        "task.blocked.v1",
        "task.skipped.v1",
    )
    topics = (TASK_EVENTS,)

    task: Task


class TaskReminder(Event):
    """A moment has come at which somebody wants to be reminded of a task, which has not ended."""

    types = ("task.reminder.v1",)
    topics = (REMINDERS,)

    project_id: ProjectId
    task_id: TaskId
    title: str | None = None
    client_ref: str | None = None
    tags: tuple[str, ...] = ()
    status: Status
    phase: Phase
    at: AwareDatetime
    """The moment that was asked for."""
    due_at: AwareDatetime | None = None
    note: str | None = None
    late_seconds: float | None = Field(default=None, ge=0)
    """How long after its moment it was told, if that was late."""

    @classmethod
    def of(cls, task: Task, at: datetime, note: str | None) -> Self:
        named = ("project_id", "title", "client_ref", "tags", "status", "phase", "due_at")
        return cls(**{name: getattr(task, name) for name in named}, task_id=task.id, at=at, note=note)

    def told(self, now: datetime, late_after: timedelta) -> Self:
        """As it is to be told now: marked, if it comes later than `late_after`."""
        late = now - self.at
        return self.model_copy(update={"late_seconds": late.total_seconds()}) if late > late_after else self


class FeedGrew(Event):
    """Tells the replicas that keep live watchers to look into the feed: it has entries up to `position`."""

    types = ("feed.grew.v1",)
    topics = (TASK_UPDATES,)

    position: int


class TaskProgressed(Event):
    """How far a run is, for live watchers only: may be lost, is never stored."""

    types = ("task.progressed.v1",)
    topics = (TASK_UPDATES,)

    task_id: TaskId
    project_id: ProjectId
    attempt: int
    phase: Phase
    progress: ProcessingProgress
    preview_step: int | None = None
    """The step that the attempt's preview in staging shows, when there is a new one."""


class WatchedPart(BaseModel):
    """What somebody watches: all of a project, one of its tasks, or its tasks with a tag."""

    model_config = ConfigDict(frozen=True)

    project_id: ProjectId
    task_id: TaskId | None = None
    tag: Tag | None = None


class FeedWatched(Event):
    """Somebody watches these live, and will still do so for a while: tells workers what previews are looked at."""

    types = ("feed.watched.v1",)
    topics = (FEED_WATCHERS,)

    parts: tuple[WatchedPart, ...] = Field(min_length=1, max_length=MOST_PARTS)
    seconds: float = Field(gt=0, le=60)
    """How long this holds, unless it is said again."""


class Assignment(Event):
    """A task attempt for one worker. The record says what to do; this only says who."""

    types = ("task.assignment.v1",)
    topics = tuple(ASSIGNMENTS.values())

    worker_id: WorkerId
    medium: Medium
    project_id: ProjectId
    task_id: TaskId
    attempt: int
    lease_seconds: float
    batch: RequestKey | None = None
    """Names what may share one forward pass: the attempts that the worker is given under the same name."""
    together: int = Field(default=1, ge=1)
    """How many these are, should none be lost. Each is an attempt of its own, and can be run alone."""


class CancelRequested(Event):
    """Stop this task's run at the next step, whoever runs it."""

    types = ("task.cancel-requested.v1",)
    topics = (TASK_CONTROL,)

    task_id: TaskId
    attempt: int


class DrainRequested(Event):
    """Take no more work from now on, or take some again; what runs goes on. The worker's next heartbeat says so."""

    types = ("worker.drain-requested.v1",)
    topics = (TASK_CONTROL,)

    worker_id: WorkerId
    drain: bool
    """False has it take work again."""
    by: PlainText = Field(max_length=100)


class WorkerHeartbeat(Event):
    """A worker lives; naming a run in it renews the run's lease."""

    types = ("worker.heartbeat.v1",)
    topics = (WORKER_HEARTBEATS,)

    worker: WorkerStatus


class QueueGrew(Event):
    """A replica of scheduling heard of what only the leading one acts on: there may be something to do."""

    types = ("queue.grew.v1",)
    topics = (QUEUE_UPDATES,)

    medium: Medium


class OperatorActed(Event):
    """An operator does something where no audit is kept. Said before it is done, and written down by who keeps it."""

    types = ("operator.acted.v1",)
    topics = (OPERATOR_ACTIONS,)

    at: Moment
    action: Annotated[str, StringConstraints(pattern=r"^webhooks?\.[a-z-]+$", max_length=64)]
    """About webhooks, as nobody else says this: what others do, they do not do by this event."""
    target: PlainText = Field(max_length=255)
    before: JsonValue
    after: JsonValue
    """As it is to become: who dies in between has left word of what was begun."""
    operator: OperatorName
    address: PlainText = Field(max_length=100)
    correlation_id: PlainText = Field(max_length=128)


class DeadLetter(Event):
    """An event that could not be handled, with the reason, kept for an operator."""

    types = ("event.dead-lettered.v1",)
    topics = (DEAD_LETTERS,)

    app: str
    topic: str
    reason: str
    event: str
    """The refused body as text, cut to what an event may hold."""


EVENTS: tuple[type[Event], ...] = (
    TaskRequested,
    TaskRejected,
    TaskChanged,
    TaskReminder,
    FeedGrew,
    TaskProgressed,
    FeedWatched,
    Assignment,
    CancelRequested,
    DrainRequested,
    WorkerHeartbeat,
    QueueGrew,
    OperatorActed,
    DeadLetter,
)

BY_TYPE: Mapping[str, type[Event]] = {type_: event for event in EVENTS for type_ in event.types}


def parse(event: CloudEvent) -> Event:
    """The typed data of an event. Raises `MalformedEvent`."""
    model = BY_TYPE.get(event.type)
    if model is None:
        raise MalformedEvent(f"unknown event type {event.type!r}")
    try:
        return model.model_validate(event.data)
    except ValidationError as error:
        raise MalformedEvent(f"{event.type}: {'; '.join(reasons(error))}") from None
