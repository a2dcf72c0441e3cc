"""Every event between services: its data, its versioned type, its topic and its id.

An event id is derived from what the event says, so that saying it twice is seen to be the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from contracts.errors import MalformedEvent, Problem
from contracts.identifiers import PlainText, ProjectId, TaskId, WorkerId
from contracts.media import Medium
from contracts.tasks import Phase, ProcessingProgress, Task
from contracts.topics import (
    ASSIGNMENTS,
    DEAD_LETTERS,
    TASK_CONTROL,
    TASK_EVENTS,
    TASK_REQUESTS,
    TASK_UPDATES,
    WORKER_HEARTBEATS,
    Topic,
)
from contracts.workers import WorkerStatus

LARGEST_EVENT = 64 * 1024


class CloudEvent(BaseModel):
    """A CloudEvent 1.0 in JSON. Attributes that the sidecar adds are passed over."""

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"] = "1.0"
    id: PlainText = Field(min_length=1, max_length=512)
    source: str = Field(min_length=1, max_length=512)
    type: str = Field(min_length=1, max_length=128)
    subject: str | None = None
    time: AwareDatetime | None = None
    datacontenttype: str = "application/json"
    correlationid: str | None = None
    traceparent: str | None = None
    data: dict[str, Any]
    """Looked into by `parse`, as the type says."""


@dataclass(frozen=True)
class Message:
    """An event on its way: where it goes and by which key it is ordered."""

    topic: Topic
    key: str
    event: CloudEvent


class Event(BaseModel):
    model_config = ConfigDict(frozen=True)

    types: ClassVar[tuple[str, ...]]
    topics: ClassVar[tuple[Topic, ...]]


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


class FeedEntry(BaseModel):
    """Something that happened in a project. `position` orders everything that happened in all of them."""

    model_config = ConfigDict(frozen=True)

    position: int
    project_id: ProjectId
    task_id: TaskId | None
    type: str
    """The event's own type, such as `task.done.v1`."""
    data: dict[str, Any]


class FeedGrew(Event):
    """The newest entries of the feed, on their way to the live watchers of every replica."""

    types = ("feed.grew.v1",)
    topics = (TASK_UPDATES,)

    entries: tuple[FeedEntry, ...]


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
        raise MalformedEvent(f"{event.type}: {'; '.join(_reasons(error))}") from None


def read_cloud_event(body: bytes) -> CloudEvent:
    """The CloudEvent in a delivery's body. Raises `MalformedEvent`."""
    try:
        return CloudEvent.model_validate_json(body)
    except ValidationError as error:
        raise MalformedEvent(f"no CloudEvent 1.0 in JSON: {'; '.join(_reasons(error))}") from None


def _reasons(error: ValidationError) -> Iterator[str]:
    for details in error.errors(include_url=False, include_input=False)[:5]:
        yield f"{'.'.join(str(part) for part in details['loc']) or 'body'}: {details['msg']}"


_MILESTONES: Mapping[Phase, str] = {
    Phase.QUEUED: "task.queued.v1",
    Phase.ASSIGNED: "task.assigned.v1",
    Phase.LOADING_MODEL: "task.processing.v1",
    Phase.GENERATING: "task.processing.v1",
    Phase.ENCODING: "task.processing.v1",
    Phase.STORING: "media.produced.v1",
    Phase.RETRY_WAIT: "task.retrying.v1",
    Phase.DONE: "task.done.v1",
    Phase.FAILED: "task.failed.v1",
    Phase.CANCELLED: "task.cancelled.v1",
    Phase.EXPIRED: "task.expired.v1",
}


def milestone(task: Task) -> str:
    """The event type a record announces. Derived from the record alone, so anyone can announce it again."""
    return "task.accepted.v1" if task.seq == 1 else _MILESTONES[task.phase]


def task_changed(task: Task, source: str) -> Message:
    return _message(
        TASK_EVENTS, task.id, f"{task.id}:{task.seq}", milestone(task), source, TaskChanged(task=task), task.updated_at,
        correlationid=task.correlation_id, traceparent=task.traceparent,
    )  # fmt: skip


def feed_grew(entries: Sequence[FeedEntry], source: str, now: AwareDatetime) -> Message:
    event_id = f"feed:{entries[0].position}:{entries[-1].position}"
    return _message(TASK_UPDATES, "feed", event_id, "feed.grew.v1", source, FeedGrew(entries=tuple(entries)), now)


def task_progressed(progressed: TaskProgressed, source: str, now: AwareDatetime) -> Message:
    event_id = f"{progressed.task_id}:{progressed.attempt}:{progressed.phase.value}:{progressed.progress.step}"
    return _message(TASK_UPDATES, progressed.task_id, event_id, "task.progressed.v1", source, progressed, now)


def task_rejected(rejected: TaskRejected, source: str, now: AwareDatetime) -> Message:
    event_id = f"rejected:{rejected.project_id}:{rejected.request_id}"
    return _message(TASK_EVENTS, rejected.project_id, event_id, "task.rejected.v1", source, rejected, now)


def assignment(assigned: Assignment, task: Task, source: str, now: AwareDatetime) -> Message:
    return _message(
        ASSIGNMENTS[assigned.medium], task.id, f"{task.id}:{task.attempt}", "task.assignment.v1", source, assigned, now,
        correlationid=task.correlation_id, traceparent=task.traceparent,
    )  # fmt: skip


def cancel_requested(cancel: CancelRequested, source: str, now: AwareDatetime) -> Message:
    event_id = f"cancel:{cancel.task_id}:{cancel.attempt}"
    return _message(TASK_CONTROL, cancel.task_id, event_id, "task.cancel-requested.v1", source, cancel, now)


def worker_heartbeat(worker: WorkerStatus, source: str) -> Message:
    event_id = f"{worker.worker_id}:{worker.sent_at.isoformat()}"
    return _message(
        WORKER_HEARTBEATS, worker.worker_id, event_id, "worker.heartbeat.v1", source, WorkerHeartbeat(worker=worker),
        worker.sent_at,
    )  # fmt: skip


def source_of(app: str) -> str:
    """The CloudEvents source of what an app says."""
    return f"/movie-tasks/{app}"


def dead_letter(app: str, topic: str, reason: str, body: bytes, now: AwareDatetime) -> Message:
    letter = DeadLetter(
        app=app, topic=topic, reason=reason[:1000], event=body[: LARGEST_EVENT // 2].decode(errors="replace")
    )
    event_id = f"dead:{app}:{topic}:{now.isoformat()}"
    return _message(DEAD_LETTERS, app, event_id, "event.dead-lettered.v1", app, letter, now)


def _message(
    topic: Topic, key: str, event_id: str, type_: str, source: str, data: Event, time: AwareDatetime,
    correlationid: str | None = None, traceparent: str | None = None,
) -> Message:  # fmt: skip
    event = CloudEvent(
        id=event_id,
        source=source_of(source),
        type=type_,
        subject=key,
        time=time,
        correlationid=correlationid,
        traceparent=traceparent,
        data=data.model_dump(mode="json"),
    )
    return Message(topic, key, event)
