"""Example values for tests: one valid thing of each kind, changed by keyword."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.errors import Problem
from contracts.events import (
    Assignment,
    CancelRequested,
    CloudEvent,
    DrainRequested,
    FeedWatched,
    Message,
    OperatorActed,
    TaskProgressed,
    TaskRejected,
    TaskReminder,
    WatchedPart,
    assignment,
    cancel_requested,
    dead_letter,
    drain_requested,
    feed_grew,
    feed_watched,
    operator_acted,
    queue_grew,
    task_changed,
    task_progressed,
    task_rejected,
    task_reminder,
    worker_heartbeat,
)
from contracts.identifiers import media_id_for, task_id_for
from contracts.media import MediaResult, Medium, ProducedMedia, Provenance
from contracts.tasks import (
    Advance,
    Assign,
    Cancel,
    Complete,
    Expire,
    Fail,
    Move,
    Phase,
    Prioritise,
    Priority,
    ProcessingProgress,
    Produce,
    RequestCancel,
    RetryLater,
    Skip,
    TakeBack,
    Task,
    apply,
)
from contracts.topics import TASK_REQUESTS, media_prefix, staging_key
from contracts.workers import Device, GpuReading, Run, WorkerState, WorkerStatus

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
SHA256 = "0" * 63 + "1"


def a_task(**changes: Any) -> Task:
    """A task that was just accepted."""
    project_id = changes.get("project_id", "p1")
    fields: dict[str, Any] = {
        "id": task_id_for(project_id, "request-1"),
        "project_id": project_id,
        "model": "tiny-image",
        "medium": Medium.IMAGE,
        "params": {"prompt": "a red circle", "steps": 4, "seed": 7},
        "time_limit_seconds": 300,
        "max_failures": 3,
        "request_digest": "d" * 64,
        "correlation_id": "c-1",
        "phase_since": NOON,
        "deadline": NOON + timedelta(minutes=5),
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Task.model_validate(fields | changes)


def a_task_in(phase: Phase, **changes: Any) -> Task:
    """A task that has come to the phase the ordinary way."""
    scheduled: dict[str, Any] = {"phase": Phase.SCHEDULED, "start_at": LATER, "deadline": LATER}
    blocked: dict[str, Any] = {"phase": Phase.BLOCKED, "needs": {"image": task_id_for("p1", "keyframe")}}
    beginnings = {Phase.BLOCKED: blocked, Phase.SCHEDULED: scheduled, Phase.SKIPPED: scheduled}
    task = a_task(**beginnings.get(phase, {}) | changes)
    for move in _WAYS[phase](task):
        task = apply(task, move, NOON)
    return task


def a_problem(retryable: bool = True) -> Problem:
    return Problem.of("engine-crashed", "The engine crashed", "signal 9", retryable=retryable)


def produced_media(task: Task, attempt: int = 1) -> ProducedMedia:
    return ProducedMedia(
        key=staging_key(task.id, attempt, "png"),
        content_type="image/png",
        size=1234,
        sha256=SHA256,
        provenance=Provenance(
            task_id=task.id,
            attempt=attempt,
            model=task.model,
            pipeline="StableDiffusionPipeline",
            source="bundled:tiny-stable-diffusion",
            revision=None,
            params=task.params,
            inputs=task.inputs,
            dtype="float32",
            device="cpu",
            versions={"diffusers": "0.42.1"},
            worker_id="worker-1",
            generated_at=NOON,
            generate_seconds=1.5,
        ),
    )


def media_result(task: Task, attempt: int = 1, **changes: Any) -> MediaResult:
    media_id = media_id_for(task.id, attempt)
    fields: dict[str, Any] = {
        "id": media_id,
        "project_id": task.project_id,
        "task_id": task.id,
        "medium": task.medium,
        "content_type": "image/png",
        "size": 1234,
        "sha256": SHA256,
        "key": f"{media_prefix(task.project_id, media_id)}/original.png",
        "width": 128,
        "height": 128,
        "created_at": NOON,
    }
    return MediaResult.model_validate(fields | changes)


def an_event_of_each() -> list[Message]:
    """One message of every event class, and of every milestone of a task."""
    task = a_task()
    progress = ProcessingProgress(step=3, total=12, fraction=0.25, eta_seconds=4.5)
    run = Run(task_id=task.id, attempt=1, phase=Phase.GENERATING, on_device=True, progress=progress)
    requested = CloudEvent(
        id="media-task-1",
        source="/payload",
        type="task.requested.v1",
        time=NOON,
        data={"project_id": "p1", "model": "tiny-image", "params": {"prompt": "a red circle"}, "client_ref": "1"},
    )
    rejected = TaskRejected(request_id="media-task-1", project_id="p1", client_ref="1", problem=a_problem(False))
    progressed = TaskProgressed(task_id=task.id, project_id="p1", attempt=1, phase=Phase.GENERATING, progress=progress)
    watched = FeedWatched(parts=(WatchedPart(project_id="p1"), WatchedPart(project_id="p2", tag="hero")), seconds=15)
    reading = GpuReading(
        utilisation=0.5, memory_used_mb=512, memory_total_mb=1024, temperature_celsius=60, power_watts=200
    )
    assigned = Assignment(
        worker_id="worker-1", medium=Medium.IMAGE, project_id="p1", task_id=task.id, attempt=1, lease_seconds=30
    )
    return [
        Message(TASK_REQUESTS, "p1", requested),
        *(task_changed(a_task_in(phase), "test") for phase in Phase),
        task_changed(apply(a_task_in(Phase.ASSIGNED), TakeBack(1), NOON), "test"),
        task_rejected(rejected, "test", NOON),
        task_reminder(TaskReminder.of(task, NOON, "call the studio"), task, "test", NOON),
        task_progressed(progressed, "test", NOON),
        feed_grew(7, "test", NOON),
        feed_watched(watched, "test", NOON),
        assignment(assigned, task, "test", NOON),
        drain_requested(DrainRequested(worker_id="gpu-worker-image-0", drain=True, by="ada"), "test", NOON),
        cancel_requested(CancelRequested(task_id=task.id, attempt=1), "test", NOON),
        worker_heartbeat(
            a_worker(state=WorkerState.BUSY, runs=(run,), warm_models=("tiny-image",), gpu=reading), "test"
        ),
        queue_grew(Medium.IMAGE, "test", NOON),
        operator_acted(an_act(), "test"),
        dead_letter("submission", "task-requests", "malformed-event: no data", b"{}", NOON),
    ]


def an_act(**changes: Any) -> OperatorActed:
    fields: dict[str, Any] = {
        "at": NOON,
        "action": "webhook.replay",
        "target": "p1/endpoint-1/msg_1",
        "before": {"state": "failed", "tries": 10},
        "after": {"state": "waiting", "tries": 0},
        "operator": "ada",
        "address": "203.0.113.7",
        "correlation_id": "correlation-1",
    }
    return OperatorActed.model_validate(fields | changes)


def a_worker(**changes: Any) -> WorkerStatus:
    fields: dict[str, Any] = {
        "worker_id": "worker-1",
        "medium": Medium.IMAGE,
        "state": WorkerState.READY,
        "slots": 1,
        "models": ("tiny-image", "tiny-image-edit"),
        "device": Device(name="cpu", kind="cpu"),
        "started_at": NOON,
        "sent_at": NOON,
    }
    return WorkerStatus.model_validate(fields | changes)


def _assigned(task: Task) -> list[Move]:
    return [Assign("worker-1", NOON + timedelta(seconds=15))]


def _loading(task: Task) -> list[Move]:
    return [*_assigned(task), Advance(1, Phase.LOADING_MODEL)]


def _generating(task: Task) -> list[Move]:
    return [*_assigned(task), Advance(1, Phase.GENERATING)]


def _storing(task: Task) -> list[Move]:
    return [*_generating(task), Produce(1, produced_media(task), NOON)]


_WAYS: dict[Phase, Callable[[Task], list[Move]]] = {
    Phase.BLOCKED: lambda task: [Prioritise(Priority.HIGH)],
    Phase.SCHEDULED: lambda task: [Prioritise(Priority.HIGH)],
    Phase.QUEUED: lambda task: [],
    Phase.ASSIGNED: _assigned,
    Phase.LOADING_MODEL: _loading,
    Phase.GENERATING: _generating,
    Phase.ENCODING: lambda task: [*_generating(task), Advance(1, Phase.ENCODING)],
    Phase.STORING: _storing,
    Phase.RETRY_WAIT: lambda task: [*_generating(task), RetryLater(1, a_problem(), NOON + timedelta(seconds=2))],
    Phase.DONE: lambda task: [*_storing(task), Complete(1, media_result(task))],
    Phase.FAILED: lambda task: [*_generating(task), Fail(1, a_problem(retryable=False))],
    Phase.CANCELLED: lambda task: [*_generating(task), RequestCancel(), Cancel(1)],
    Phase.EXPIRED: lambda task: [Expire()],
    Phase.SKIPPED: lambda task: [Skip(a_problem(retryable=False))],
}
