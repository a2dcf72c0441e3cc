"""A task attempt in a worker's hands: whose it is, how far it has come, and what it came from."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.catalog import HubSource, ModelEntry
from contracts.events import Assignment, TaskProgressed
from contracts.media import Execution, Provenance
from contracts.tasks import Cancel, Checkpoint, Move, Phase, ProcessingProgress, Produce, TakeBack, Task
from contracts.tracing import TraceContext
from contracts.workers import Device, Run


@dataclass
class Attempt:
    """One task attempt in this worker's hands, as far as it has come."""

    assignment: Assignment
    phase: Phase = Phase.LOADING_MODEL
    announced: Phase = Phase.ASSIGNED
    seen: int = 0
    """The newest `seq` of its record."""
    on_device: bool = True
    progress: ProcessingProgress | None = None
    generating_since: datetime | None = None
    generated_at: datetime | None = None
    first_step: int = 0
    """How many steps an earlier attempt had done."""
    checkpoint: Checkpoint | None = None
    """The newest one that this attempt has left or begun with."""
    trace: TraceContext | None = None
    """The span of its run."""
    execution: Execution = field(default_factory=Execution)
    together: int = field(init=False)
    """How many share the device, as far as is known."""
    tags: tuple[str, ...] = ()
    """Of its task."""
    published_at: datetime | None = None
    saved_at: datetime | None = None
    telling: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while progress is told, so that watchers see no run go back."""
    stopping: bool = False
    succeeded: bool | None = None
    """Whether there is a result; None while it runs, and for what was stopped."""
    saying: asyncio.Task[None] | None = None
    keeping: asyncio.Task[None] | None = None
    preview_asked_at: datetime | None = None
    showing: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.together = self.assignment.together

    @property
    def key(self) -> tuple[str, int]:
        return self.assignment.task_id, self.assignment.attempt

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.assignment.lease_seconds)

    def as_run(self) -> Run:
        task_id, attempt = self.key
        return Run(task_id=task_id, attempt=attempt, phase=self.phase, on_device=self.on_device, progress=self.progress)

    def as_progress(self, preview_step: int | None = None) -> TaskProgressed | None:
        """Nothing before the first step."""
        if self.progress is None:
            return None
        task_id, attempt = self.key
        return TaskProgressed(
            task_id=task_id,
            project_id=self.assignment.project_id,
            attempt=attempt,
            phase=self.phase,
            progress=self.progress,
            preview_step=preview_step,
        )

    def stepped(self, step: int, total: int, now: datetime) -> None:
        fraction = min(1.0, step / total) if total else 0.0
        eta = None
        done = step - self.first_step
        if self.generating_since is not None and done > 0:
            eta = max(0.0, (now - self.generating_since).total_seconds() * (total - step) / done)
        self.progress = ProcessingProgress(step=step, total=total, fraction=fraction, eta_seconds=eta)

    def generated_for(self, now: datetime) -> timedelta:
        """How long it has used the device."""
        return (self.generated_at or now) - (self.generating_since or self.generated_at or now)


@dataclass(frozen=True)
class Pace:
    """How often progress is told to watchers, and how often it is written into the record."""

    publish_every: timedelta = timedelta(seconds=0.2)
    save_every: timedelta = timedelta(seconds=2)

    def publish_now(self, attempt: Attempt, now: datetime) -> bool:
        finished = attempt.progress is not None and attempt.progress.fraction == 1
        return finished or attempt.published_at is None or now - attempt.published_at >= self.publish_every

    def save_now(self, attempt: Attempt, now: datetime) -> bool:
        return now - (attempt.saved_at or attempt.generating_since or now) >= self.save_every


def still_ours(task: Task | None, assignment: Assignment) -> bool:
    """Whether the record agrees that this worker should begin this attempt now."""
    return (
        task is not None
        and task.phase is Phase.ASSIGNED
        and task.attempt == assignment.attempt
        and task.worker_id == assignment.worker_id
        and not task.cancel_requested
    )


def provenance(
    task: Task, entry: ModelEntry, attempt: Attempt, device: Device, versions: dict[str, str], now: datetime
) -> Provenance:
    return Provenance(
        task_id=task.id,
        attempt=task.attempt,
        model=entry.key,
        pipeline=entry.pipeline,
        source=entry.source.origin,
        revision=entry.source.revision if isinstance(entry.source, HubSource) else None,
        params=task.params,
        inputs=task.inputs,
        dtype=entry.dtype,
        device=device.name,
        versions=versions,
        worker_id=attempt.assignment.worker_id,
        generated_at=attempt.generated_at or now,
        **attempt.execution.model_dump(),
    )


def unless_cancelled(move: TakeBack | Produce) -> Callable[[Task], Move]:
    """The move, or the end that a person has asked for in the meantime."""
    return lambda found: Cancel(move.attempt) if found.cancel_requested else move
