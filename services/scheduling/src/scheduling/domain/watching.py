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
REMEMBERED = timedelta(minutes=10)
"""How long an ended task is known as such, so that what was said of it before its end is no news afterwards."""


@dataclass(frozen=True)
class Overdue:
    """What to do about a task that was not moved on in time."""

    move: Move | None = None
    """A change of the record; none when the record is fine as it is."""
    announce: bool = False
    """Say the record's state again, because somebody seems not to have heard it."""


def startable_at(task: Task, heard_at: datetime) -> datetime | None:
    """When the task may start, by the clock that read `heard_at` when its phase was heard of.

    A record's moments are by the clock of whoever moved it. Only what lies between two of the same move
    is believed: how long, never when.
    """
    return heard_at + (task.not_before - task.phase_since) if task.not_before else None


def hard_deadline(task: Task, heard_at: datetime) -> datetime | None:
    """When the phase must be over, whatever its worker says, by the same clock."""
    if task.deadline is None:
        return None
    due = heard_at + (task.deadline - task.phase_since)
    if task.phase is Phase.ASSIGNED:
        return due
    return due + GRACE_OVER_TIME_LIMIT if task.phase.owner is Owner.WORKER else None


def look_again_at(task: Task, heard_at: datetime, now: datetime, lease: timedelta) -> datetime:
    """When the watchdog should look at the task next, should nothing be heard of it by then."""
    limit = hard_deadline(task, heard_at)
    match task.phase.owner:
        case Owner.SCHEDULING if task.phase is Phase.ASSIGNED:
            return limit or now
        case Owner.SCHEDULING:
            ready = startable_at(task, heard_at)
            ready = ready if ready and ready > now else now + PICK_UP_WITHIN
            return min(ready, task.expires_at) if task.expires_at else ready
        case Owner.WORKER:
            return min(now + lease, limit) if limit else now + lease
        case Owner.STORAGE:
            return now + STORE_WITHIN
        case None:
            return now + END_HEARD_WITHIN


def overdue(
    task: Task, heard_at: datetime | None, now: datetime, backoff: Backoff, randomness: random.Random
) -> Overdue:
    """What an overdue task needs. `heard_at` is when scheduling heard of the record's attempt and phase, if it did."""
    if heard_at is None or task.phase.terminal:
        return Overdue(announce=True)
    match task.phase:
        case Phase.QUEUED | Phase.RETRY_WAIT:
            return Overdue(Expire() if task.expires_at and task.expires_at <= now else None)
        case Phase.ASSIGNED:
            return Overdue(TakeBack(task.attempt))
        case Phase.STORING:
            return Overdue(announce=True)
        case _:
            return Overdue(_end_run(task, heard_at, now, backoff, randomness))


def _end_run(task: Task, heard_at: datetime, now: datetime, backoff: Backoff, randomness: random.Random) -> Move:
    if task.cancel_requested:
        return Cancel(task.attempt)
    limit = hard_deadline(task, heard_at)
    if limit is not None and now >= limit:
        return Fail(task.attempt, TIME_LIMIT_EXCEEDED)
    return after_failure(task, task.attempt, WORKER_LOST, now, backoff, randomness)
