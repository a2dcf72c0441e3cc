"""The one state machine of a task: one table and one pure function.

Every change of a task anywhere is a move, applied here to the record as it was read, and saved only
if nobody saved in between. Nobody else assigns a phase.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, assert_never

from contracts.errors import IllegalTransition, Problem, StaleAttempt
from contracts.media import MediaResult, ProducedMedia
from contracts.tasks.record import Checkpoint, Phase, Priority, ProcessingProgress, Status, Task

TRANSITIONS: Mapping[Phase, frozenset[Phase]] = MappingProxyType(
    {
        Phase.QUEUED: frozenset({Phase.ASSIGNED, Phase.CANCELLED, Phase.EXPIRED}),
        Phase.RETRY_WAIT: frozenset({Phase.ASSIGNED, Phase.CANCELLED, Phase.EXPIRED}),
        Phase.ASSIGNED: frozenset(
            {Phase.LOADING_MODEL, Phase.GENERATING, Phase.QUEUED, Phase.RETRY_WAIT, Phase.FAILED, Phase.CANCELLED}
        ),
        Phase.LOADING_MODEL: frozenset(
            {Phase.GENERATING, Phase.QUEUED, Phase.RETRY_WAIT, Phase.FAILED, Phase.CANCELLED}
        ),
        Phase.GENERATING: frozenset(
            {Phase.ENCODING, Phase.STORING, Phase.QUEUED, Phase.RETRY_WAIT, Phase.FAILED, Phase.CANCELLED}
        ),
        Phase.ENCODING: frozenset({Phase.STORING, Phase.QUEUED, Phase.RETRY_WAIT, Phase.FAILED, Phase.CANCELLED}),
        Phase.STORING: frozenset({Phase.DONE, Phase.RETRY_WAIT, Phase.FAILED, Phase.CANCELLED}),
        Phase.DONE: frozenset(),
        Phase.FAILED: frozenset({Phase.QUEUED}),
        Phase.CANCELLED: frozenset({Phase.QUEUED}),
        Phase.EXPIRED: frozenset({Phase.QUEUED}),
    }
)

STORE_WITHIN = timedelta(minutes=5)
ENCODE_WITHIN = timedelta(minutes=30)
"""From the last step to the result in staging. The catalog's time limit is for what uses a device."""
PICK_UP_WITHIN = timedelta(minutes=5)
SHARE_A_DEVICE = (Phase.LOADING_MODEL, Phase.GENERATING)
"""Each result is encoded by itself."""


@dataclass(frozen=True)
class Assign:
    """Scheduling gives the task to a worker. Begins a new attempt."""

    worker_id: str
    start_by: datetime


@dataclass(frozen=True)
class TakeBack:
    """An attempt ends without blame: never started, or handed back by a worker that must go."""

    attempt: int


@dataclass(frozen=True)
class Advance:
    """The worker says where its run is: `loading_model`, `generating` or `encoding`, and how far."""

    attempt: int
    phase: Phase
    progress: ProcessingProgress | None = None
    checkpoint: Checkpoint | None = None
    """A new one; without it the last one stays."""
    together: int = 1
    """How many tasks share the device with this one."""


@dataclass(frozen=True)
class Produce:
    """The worker has put the encoded result into staging; generating ended at `generated_at`."""

    attempt: int
    media: ProducedMedia
    generated_at: datetime
    together: int = 1
    """How many tasks shared the device with this one."""


@dataclass(frozen=True)
class Complete:
    """Storage has verified and promoted the result."""

    attempt: int
    result: MediaResult


@dataclass(frozen=True)
class RetryLater:
    """The attempt failed; another may begin at `not_before`."""

    attempt: int
    error: Problem
    not_before: datetime
    outgrown_mb: int = 0
    """The memory of the device that the attempt did not fit."""


@dataclass(frozen=True)
class Fail:
    """The task has failed for good."""

    attempt: int
    error: Problem


@dataclass(frozen=True)
class RequestCancel:
    """A person wants it gone: at once while it waits, at the next step while it runs."""


@dataclass(frozen=True)
class Cancel:
    """The run has stopped because a person asked for it."""

    attempt: int


@dataclass(frozen=True)
class Expire:
    """Nobody could start it before `expires_at`."""


@dataclass(frozen=True)
class Resubmit:
    """A person sends an ended task round again: same id, failures forgiven, attempts go on counting."""


@dataclass(frozen=True)
class Prioritise:
    """A person wants a task that has not ended sooner or later than the others. One that runs is not disturbed."""

    priority: Priority


Move = (
    Assign
    | TakeBack
    | Advance
    | Produce
    | Complete
    | RetryLater
    | Fail
    | RequestCancel
    | Cancel
    | Expire
    | Resubmit
    | Prioritise
)


def apply(task: Task, move: Move, now: datetime) -> Task:
    """The task after the move, or the same object when the move has been made before.

    Raises `StaleAttempt` when another attempt has taken over, and `IllegalTransition` when the
    table has no such way.
    """
    match move:
        case Assign():
            return _assign(task, move, now)
        case TakeBack():
            return _end_attempt(task, move.attempt, Phase.QUEUED, now, deadline=now + PICK_UP_WITHIN)
        case Advance():
            return _advance(task, move, now)
        case Produce():
            return _produce(task, move, now)
        case Complete():
            return _enter(_fenced(task, move.attempt), Phase.DONE, now, result=move.result, error=None, progress=None)
        case RetryLater():
            return _end_attempt(
                task, move.attempt, Phase.RETRY_WAIT, now,
                failures=task.failures + 1, error=move.error, not_before=move.not_before, deadline=move.not_before,
                outgrown_mb=max(task.outgrown_mb, move.outgrown_mb),
            )  # fmt: skip
        case Fail():
            return _enter(_fenced(task, move.attempt), Phase.FAILED, now, error=move.error)
        case Cancel():
            return _cancel(_fenced(task, move.attempt), now)
        case Expire():
            return _enter(task, Phase.EXPIRED, now)
        case RequestCancel() | Resubmit() | Prioritise():
            return _as_a_person_wants(task, move, now)
        case unreachable:
            assert_never(unreachable)


def _as_a_person_wants(task: Task, wish: RequestCancel | Resubmit | Prioritise, now: datetime) -> Task:
    match wish:
        case RequestCancel():
            return _request_cancel(task, now)
        case Resubmit():
            return _resubmit(task, now)
        case Prioritise():
            return _prioritise(task, wish.priority, now)


def _fenced(task: Task, attempt: int) -> Task:
    """The task, if the attempt is its newest and has not ended yet: what waits for the next has none."""
    if attempt != task.attempt:
        raise StaleAttempt(f"attempt {attempt} of task {task.id} is over; attempt {task.attempt} holds it now")
    if task.phase in (Phase.QUEUED, Phase.RETRY_WAIT):
        raise StaleAttempt(f"attempt {attempt} of task {task.id} is over; the task waits for the next")
    return task


def _enter(task: Task, phase: Phase, now: datetime, **changes: Any) -> Task:
    """The only place that sets a phase."""
    if task.phase is phase and phase.terminal:
        return task
    if phase not in TRANSITIONS[task.phase]:
        raise IllegalTransition(f"task {task.id} is {task.phase.value} and cannot become {phase.value}")
    if phase.terminal:
        changes |= {"finished_at": now, "deadline": None, "not_before": None}
    spent = _time_spent(task, now)
    changes |= {
        "phase_seconds": {**task.phase_seconds, task.phase: task.phase_seconds.get(task.phase, 0.0) + spent},
        "shared_seconds": task.shared_seconds + _others_part(task, spent),
    }
    return _save(task, now, phase=phase, phase_since=now, **changes)


def _save(task: Task, now: datetime, **changes: Any) -> Task:
    return task.model_copy(update={**changes, "seq": task.seq + 1, "updated_at": max(now, task.updated_at)})


def _time_spent(task: Task, until: datetime) -> float:
    # Services' clocks differ: a phase that seems to end before it began took no time.
    return max(0.0, (until - task.phase_since).total_seconds())


def _others_part(task: Task, spent: float) -> float:
    """A device that runs tasks together is used by each of them for its part of the time."""
    return spent * (1 - 1 / task.together) if task.phase in SHARE_A_DEVICE else 0.0


def _assign(task: Task, move: Assign, now: datetime) -> Task:
    return _enter(
        task, Phase.ASSIGNED, now,
        attempt=task.attempt + 1, worker_id=move.worker_id, deadline=move.start_by, not_before=None, progress=None,
        produced=None, together=1,
    )  # fmt: skip


def _advance(task: Task, move: Advance, now: datetime) -> Task:
    _fenced(task, move.attempt)
    checkpoint = move.checkpoint or task.checkpoint
    if task.phase is move.phase:
        changes = {"progress": move.progress, "together": move.together, "checkpoint": checkpoint}
        said = all(getattr(task, name) == value for name, value in changes.items())
        return task if said else _save(task, now, **changes)
    # Who shared the phase that ends here is known better now than when it began.
    task = task.model_copy(update={"together": move.together})
    started_at, deadline = task.started_at, task.deadline
    if task.phase is Phase.ASSIGNED:
        started_at, deadline = now, now + timedelta(seconds=task.time_limit_seconds)
    if move.phase is Phase.ENCODING:
        deadline = now + ENCODE_WITHIN
    return _enter(
        task, move.phase, now,
        progress=move.progress, checkpoint=checkpoint, started_at=started_at, deadline=deadline,
    )  # fmt: skip


def _produce(task: Task, move: Produce, now: datetime) -> Task:
    _fenced(task, move.attempt)
    if task.phase is Phase.STORING:
        return task
    task = task.model_copy(update={"together": move.together})
    if task.phase is Phase.GENERATING:
        # Two phases and one save, so the two share a `seq`.
        encoding = _enter(task, Phase.ENCODING, max(move.generated_at, task.phase_since))
        task = encoding.model_copy(update={"seq": task.seq})
    return _enter(
        task, Phase.STORING, now,
        produced=move.media, progress=None, checkpoint=None, deadline=now + STORE_WITHIN,
    )  # fmt: skip


def _end_attempt(task: Task, attempt: int, phase: Phase, now: datetime, **changes: Any) -> Task:
    if (task.attempt, task.phase) == (attempt, phase):
        return task
    _fenced(task, attempt)
    if task.phase.terminal:
        raise IllegalTransition(f"task {task.id} is {task.phase.value}: it has no attempt to end")
    if task.cancel_requested:
        return _enter(task, Phase.CANCELLED, now)
    return _enter(task, phase, now, worker_id=None, progress=None, produced=None, **changes)


def _cancel(task: Task, now: datetime) -> Task:
    if not task.phase.terminal and not task.cancel_requested:
        raise IllegalTransition(f"nobody has asked to cancel task {task.id}")
    return _enter(task, Phase.CANCELLED, now)


def _request_cancel(task: Task, now: datetime) -> Task:
    if task.status is Status.PROCESSING:
        return task if task.cancel_requested else _save(task, now, cancel_requested=True)
    if task.status is Status.PENDING:
        return _enter(task, Phase.CANCELLED, now, cancel_requested=True)
    return _enter(task, Phase.CANCELLED, now)


def _resubmit(task: Task, now: datetime) -> Task:
    if not task.phase.terminal:
        raise IllegalTransition(f"task {task.id} is {task.phase.value}: only an ended task can be retried")
    return _enter(
        task, Phase.QUEUED, now,
        failures=0, outgrown_mb=0, cancel_requested=False, error=None, worker_id=None, progress=None, produced=None,
        checkpoint=None, started_at=None, finished_at=None, expires_at=None, deadline=now + PICK_UP_WITHIN,
    )  # fmt: skip


def _prioritise(task: Task, priority: Priority, now: datetime) -> Task:
    if task.phase.terminal:
        raise IllegalTransition(f"task {task.id} is {task.phase.value}: only a task that has not ended has a priority")
    return task if task.priority is priority else _save(task, now, priority=priority)
