"""When to look at a task again, and what to do when nothing was heard of it by then."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.tasks import (
    PICK_UP_WITHIN,
    STORE_WITHIN,
    TIME_LIMIT_EXCEEDED,
    WORKER_LOST,
    Backoff,
    Cancel,
    Expire,
    Fail,
    Move,
    Owner,
    Phase,
    TakeBack,
    Task,
    after_failure,
)

END_HEARD_WITHIN = timedelta(seconds=10)
"""How soon everybody should have heard of a task's end."""
GRACE_OVER_TIME_LIMIT = timedelta(seconds=10)
"""The worker stops its own run at the time limit; the watchdog only steps in when it does not."""


@dataclass(frozen=True)
class Overdue:
    """What to do about a task that was not moved on in time."""

    move: Move | None = None
    """A change of the record; none when the record is fine as it is."""
    announce: bool = False
    """Say the record's state again, because somebody seems not to have heard it."""


def look_again_at(task: Task, now: datetime, lease: timedelta) -> datetime:
    """When the watchdog should look at the task next, should nothing be heard of it by then."""
    match task.phase.owner:
        case Owner.SCHEDULING if task.phase is Phase.ASSIGNED:
            return task.deadline or now
        case Owner.SCHEDULING:
            ready = task.not_before if task.not_before and task.not_before > now else now + PICK_UP_WITHIN
            return min(ready, task.expires_at) if task.expires_at else ready
        case Owner.WORKER:
            return min(now + lease, task.deadline + GRACE_OVER_TIME_LIMIT) if task.deadline else now + lease
        case Owner.STORAGE:
            return now + STORE_WITHIN
        case None:
            return now + END_HEARD_WITHIN


def overdue(
    task: Task, heard: tuple[int, Phase], now: datetime, backoff: Backoff, randomness: random.Random
) -> Overdue:
    """What an overdue task needs. `heard` is the attempt and phase that scheduling last heard announced."""
    if (task.attempt, task.phase) != heard or task.phase.terminal:
        return Overdue(announce=True)
    match task.phase:
        case Phase.QUEUED | Phase.RETRY_WAIT:
            return Overdue(Expire() if task.expires_at and task.expires_at <= now else None)
        case Phase.ASSIGNED:
            return Overdue(TakeBack(task.attempt))
        case Phase.STORING:
            return Overdue(announce=True)
        case _:
            return Overdue(_end_run(task, now, backoff, randomness))


def _end_run(task: Task, now: datetime, backoff: Backoff, randomness: random.Random) -> Move:
    if task.cancel_requested:
        return Cancel(task.attempt)
    if task.deadline is not None and now >= task.deadline + GRACE_OVER_TIME_LIMIT:
        return Fail(task.attempt, TIME_LIMIT_EXCEEDED)
    return after_failure(task, task.attempt, WORKER_LOST, now, backoff, randomness)
