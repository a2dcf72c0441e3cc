"""Events ready to be published.

An event id is derived from what the event says, so that saying it twice is seen to be the same.
"""

from collections.abc import Mapping
from datetime import UTC

from pydantic import AwareDatetime

from contracts.events.envelope import LARGEST_EVENT, CloudEvent, Event, Message
from contracts.events.schemas import (
    Assignment,
    CancelRequested,
    DeadLetter,
    DrainRequested,
    FeedGrew,
    FeedWatched,
    OperatorActed,
    QueueGrew,
    TaskChanged,
    TaskProgressed,
    TaskRejected,
    TaskReminder,
    WorkerHeartbeat,
)
from contracts.media import Medium
from contracts.tasks import Phase, Task, context_of
from contracts.topics import (
    ASSIGNMENTS,
    DEAD_LETTERS,
    FEED_WATCHERS,
    OPERATOR_ACTIONS,
    QUEUE_UPDATES,
    REMINDERS,
    TASK_CONTROL,
    TASK_EVENTS,
    TASK_UPDATES,
    WORKER_HEARTBEATS,
    Topic,
)
from contracts.tracing import TraceContext, current_trace
from contracts.workers import WorkerStatus

_MILESTONES: Mapping[Phase, str] = {
    Phase.BLOCKED: "task.blocked.v1",
    Phase.SCHEDULED: "task.scheduled.v1",
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
    Phase.SKIPPED: "task.skipped.v1",
}


def milestone(task: Task) -> str:
    """The event type a record announces. Derived from the record alone, so anyone can announce it again."""
    return "task.accepted.v1" if task.seq == 1 else _MILESTONES[task.phase]


def task_changed(task: Task, source: str) -> Message:
    return _message(
        TASK_EVENTS, task.id, f"{task.id}:{task.seq}", milestone(task), source, TaskChanged(task=task), task.updated_at,
        correlationid=task.correlation_id, trace=context_of(task),
    )  # fmt: skip


def task_reminder(reminder: TaskReminder, task: Task, source: str, now: AwareDatetime) -> Message:
    event_id = f"{task.id}:reminder:{reminder.at.astimezone(UTC).isoformat()}"
    return _message(
        REMINDERS, task.id, event_id, "task.reminder.v1", source, reminder, now,
        correlationid=task.correlation_id, trace=context_of(task),
    )  # fmt: skip


def feed_grew(position: int, source: str, now: AwareDatetime) -> Message:
    return _message(TASK_UPDATES, "feed", f"feed:{position}", "feed.grew.v1", source, FeedGrew(position=position), now)


def task_progressed(progressed: TaskProgressed, source: str, now: AwareDatetime) -> Message:
    event_id = f"{progressed.task_id}:{progressed.attempt}:{progressed.phase.value}:{progressed.progress.step}"
    if progressed.preview_step is not None:
        event_id += f":preview-{progressed.preview_step}"
    return _message(TASK_UPDATES, progressed.task_id, event_id, "task.progressed.v1", source, progressed, now)


def feed_watched(watched: FeedWatched, source: str, now: AwareDatetime) -> Message:
    first = watched.parts[0]
    event_id = f"watched:{now.isoformat()}:{first.project_id}:{first.task_id}:{first.tag}"
    return _message(FEED_WATCHERS, "watched", event_id, "feed.watched.v1", source, watched, now)


def task_rejected(rejected: TaskRejected, source: str, now: AwareDatetime) -> Message:
    event_id = f"rejected:{rejected.project_id}:{rejected.request_id}"
    return _message(
        TASK_EVENTS, rejected.project_id, event_id, "task.rejected.v1", source, rejected, now, trace=current_trace()
    )


def assignment(assigned: Assignment, task: Task, source: str, now: AwareDatetime) -> Message:
    return _message(
        ASSIGNMENTS[assigned.medium], task.id, f"{task.id}:{task.attempt}", "task.assignment.v1", source, assigned, now,
        correlationid=task.correlation_id, trace=context_of(task),
    )  # fmt: skip


def cancel_requested(cancel: CancelRequested, source: str, now: AwareDatetime) -> Message:
    event_id = f"cancel:{cancel.task_id}:{cancel.attempt}"
    return _message(TASK_CONTROL, cancel.task_id, event_id, "task.cancel-requested.v1", source, cancel, now)


def drain_requested(request: DrainRequested, source: str, now: AwareDatetime) -> Message:
    event_id = f"drain:{request.worker_id}:{now.isoformat()}"
    return _message(TASK_CONTROL, request.worker_id, event_id, "worker.drain-requested.v1", source, request, now)


def worker_heartbeat(worker: WorkerStatus, source: str) -> Message:
    event_id = f"{worker.worker_id}:{worker.sent_at.isoformat()}"
    return _message(
        WORKER_HEARTBEATS, worker.worker_id, event_id, "worker.heartbeat.v1", source, WorkerHeartbeat(worker=worker),
        worker.sent_at,
    )  # fmt: skip


def queue_grew(medium: Medium, source: str, now: AwareDatetime) -> Message:
    event_id = f"queue:{medium.value}:{now.isoformat()}"
    return _message(QUEUE_UPDATES, medium.value, event_id, "queue.grew.v1", source, QueueGrew(medium=medium), now)


def operator_acted(acted: OperatorActed, source: str) -> Message:
    event_id = f"acted:{acted.correlation_id}:{acted.at.isoformat()}:{acted.action}:{acted.target}"
    return _message(
        OPERATOR_ACTIONS, acted.target, event_id, "operator.acted.v1", source, acted, acted.at,
        correlationid=acted.correlation_id,
    )  # fmt: skip


def source_of(app: str) -> str:
    """The CloudEvents source of what an app says."""
    return f"/movie-tasks/{app}"


def dead_letter(app: str, topic: str, reason: str, body: bytes, now: AwareDatetime) -> Message:
    # A byte may take six in JSON, and this has to fit into an event itself.
    letter = DeadLetter(
        app=app, topic=topic, reason=reason[:1000], event=body[: LARGEST_EVENT // 8].decode(errors="replace")
    )
    event_id = f"dead:{app}:{topic}:{now.isoformat()}"
    return _message(DEAD_LETTERS, app, event_id, "event.dead-lettered.v1", app, letter, now)


def _message(
    topic: Topic, key: str, event_id: str, type_: str, source: str, data: Event, time: AwareDatetime,
    correlationid: str | None = None, trace: TraceContext | None = None,
) -> Message:  # fmt: skip
    event = CloudEvent(
        id=event_id,
        source=source_of(source),
        type=type_,
        subject=key,
        time=time,
        correlationid=correlationid,
        traceparent=str(trace) if trace else None,
        data=data.model_dump(mode="json"),
    )
    return Message(topic, key, event)
