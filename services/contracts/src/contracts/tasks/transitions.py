"""The one state machine of a task: one table and one pure function.

Every change of a task anywhere is a move, applied here to the record as it was read, and saved only
if nobody saved in between. Nobody else assigns a phase.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, assert_never

from contracts.errors import IllegalTransition, StaleAttempt
from contracts.tasks.moves import (
    Advance,
    Assign,
    Cancel,
    Complete,
    Expire,
    Fail,
    Move,
    Prioritise,
    Produce,
    Release,
    RequestCancel,
    Resubmit,
    RetryLater,
    Skip,
    Supply,
    TakeBack,
)
from contracts.tasks.record import Phase, Priority, Status, Task
from contracts.tasks.recurrence import Missed, Overlap
from contracts.tasks.spans import context_of

AGAIN = frozenset({Phase.QUEUED, Phase.SCHEDULED, Phase.BLOCKED})
TRANSITIONS: Mapping[Phase, frozenset[Phase]] = MappingProxyType(
    {
        Phase.BLOCKED: frozenset({Phase.SCHEDULED, Phase.QUEUED, Phase.CANCELLED, Phase.EXPIRED, Phase.SKIPPED}),
        Phase.SCHEDULED: frozenset({Phase.QUEUED, Phase.CANCELLED, Phase.EXPIRED, Phase.SKIPPED}),
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
        Phase.FAILED: AGAIN,
        Phase.CANCELLED: AGAIN,
        Phase.EXPIRED: AGAIN,
        Phase.SKIPPED: AGAIN,
    }
)

STORE_WITHIN = timedelta(minutes=5)
ENCODE_WITHIN = timedelta(minutes=30)
"""From the last step to the result in staging. The catalog's time limit is for what uses a device."""
PICK_UP_WITHIN = timedelta(minutes=5)
SHARE_A_DEVICE = (Phase.LOADING_MODEL, Phase.GENERATING)
"""Each result is encoded by itself."""


def apply(task: Task, move: Move, now: datetime) -> Task:
    """The task after the move, or the same object when the move has been made before.

    Raises `StaleAttempt` when another attempt has taken over, and `IllegalTransition` when the
    table has no such way.
    """
    match move:
        case Supply() | Release() | Skip():
            return _before_it_waits(task, move, now)
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
    if task.phase in (Phase.BLOCKED, Phase.SCHEDULED, Phase.QUEUED, Phase.RETRY_WAIT):
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


def _before_it_waits(task: Task, decision: Supply | Release | Skip, now: datetime) -> Task:
    match decision:
        case Supply():
            return _supply(task, decision.inputs, now)
        case Release():
            return _release(task, now)
        case Skip():
            return _enter(task, Phase.SKIPPED, now, error=decision.error)


def _supply(task: Task, inputs: Mapping[str, str], now: datetime) -> Task:
    if task.phase is not Phase.BLOCKED:
        raise IllegalTransition(f"task {task.id} is {task.phase.value}: only what is blocked waits for inputs")
    if missing := set(task.needs) - set(inputs):
        raise IllegalTransition(f"task {task.id} needs {', '.join(sorted(missing))} as well")
    waits = task.waits_for_its_time(now)
    return _enter(
        task, Phase.SCHEDULED if waits else Phase.QUEUED, now,
        inputs={**task.inputs, **inputs}, supplied_at=now, deadline=task.start_at if waits else now + PICK_UP_WITHIN,
    )  # fmt: skip


def _release(task: Task, now: datetime) -> Task:
    if task.phase is Phase.QUEUED:
        return task
    if task.phase is not Phase.SCHEDULED:
        raise IllegalTransition(f"task {task.id} is {task.phase.value}: only what is scheduled can be released")
    return _enter(task, Phase.QUEUED, now, deadline=now + PICK_UP_WITHIN)


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
    ended = context_of(task)
    phase, deadline = Phase.BLOCKED if task.needs else Phase.QUEUED, now + PICK_UP_WITHIN
    if not task.needs and task.start_at is not None and task.start_at > now:
        phase, deadline = Phase.SCHEDULED, task.start_at
    return _enter(
        task, phase, now,
        deadline=deadline,
        # Whoever asks for an instance again wants it, whenever its time was and whatever else of its series goes on.
        series=task.series and task.series.model_copy(update={"overlap": Overlap.ALLOW, "missed": Missed.RUN}),
        # The span of what has ended is told already; what comes now is another, under it.
        traceparent=str(ended) if ended else None,
        failures=0, outgrown_mb=0, cancel_requested=False, error=None, worker_id=None, progress=None, produced=None,
        checkpoint=None, started_at=None, finished_at=None, expires_at=None,
    )  # fmt: skip


def _prioritise(task: Task, priority: Priority, now: datetime) -> Task:
    if task.phase.terminal:
        raise IllegalTransition(f"task {task.id} is {task.phase.value}: only a task that has not ended has a priority")
    return task if task.priority is priority else _save(task, now, priority=priority)
