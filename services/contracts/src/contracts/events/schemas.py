"""Every event's data, its versioned types and its topics."""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from contracts.errors import MalformedEvent, Problem
from contracts.events.envelope import CloudEvent, Event, reasons
from contracts.identifiers import ProjectId, RequestKey, TaskId, WorkerId
from contracts.media import Medium
from contracts.tasks import Phase, ProcessingProgress, Task
from contracts.topics import (
    ASSIGNMENTS,
    DEAD_LETTERS,
    QUEUE_UPDATES,
    TASK_CONTROL,
    TASK_EVENTS,
    TASK_REQUESTS,
    TASK_UPDATES,
    WORKER_HEARTBEATS,
)
from contracts.workers import WorkerStatus


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
        "task.queued.v1",
        "task.assigned.v1",
        "task.processing.v1",
        "media.produced.v1",
        "task.retrying.v1",
        "task.done.v1",
        "task.failed.v1",
        "task.cancelled.v1",
        "task.expired.v1",
    )
    topics = (TASK_EVENTS,)

    task: Task


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
    FeedGrew,
    TaskProgressed,
    Assignment,
    CancelRequested,
    WorkerHeartbeat,
    QueueGrew,
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
