"""When to look at a task again, and what to do when nothing was heard of it by then."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from contracts.errors import Problem
from contracts.tasks import (
    MISSED_AFTER,
    PICK_UP_WITHIN,
    STORE_WITHIN,
    TIME_LIMIT_EXCEEDED,
    WORKER_LOST,
    Backoff,
    Cancel,
    Expire,
    Fail,
    Missed,
    Move,
    Overlap,
    Owner,
    Phase,
    Release,
    Skip,
    TakeBack,
    Task,
    after_failure,
)

from scheduling.domain.needing import supplied_or_skipped

HEARD_WITHIN = timedelta(seconds=10)
"""How soon everybody should have heard what others must act on: a task's end, and what the watchdog says again."""
GRACE_OVER_TIME_LIMIT = timedelta(seconds=10)
"""The worker stops its own run at the time limit; the watchdog only steps in when it does not."""
REMEMBERED = timedelta(minutes=10)
"""How long an ended task is known as such, so that what was said of it before its end is no news afterwards."""


NOTHING: Mapping[str, Task] = MappingProxyType({})
LOOK_AT_HELD = timedelta(minutes=1)
"""How soon to look again at what waits for another's end, should that not be heard."""
MISSED = Problem.of(
    "series-missed",
    "Its time was missed",
    "The platform was away at the task's time, and its series does not want it made up for.",
    retryable=False,
)
OVERLAPS = Problem.of(
    "series-overlap",
    "An earlier one has not ended",
    "At the task's time an earlier instance of its series had begun and not ended.",
    retryable=False,
)


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
        case Owner.SCHEDULING if task.phase is Phase.SCHEDULED:
            # A person's time of day, and taken as such.
            return task.start_at or now
        case Owner.SCHEDULING:
            ready = startable_at(task, heard_at)
            ready = ready if ready and ready > now else now + PICK_UP_WITHIN
            return min(ready, task.expires_at) if task.expires_at else ready
        case Owner.WORKER:
            return min(now + lease, limit) if limit else now + lease
        case Owner.STORAGE:
            return now + STORE_WITHIN
        case None:
            return now + HEARD_WITHIN


def look_after_saying(task: Task, look_at: datetime, now: datetime) -> datetime:
    """When to look again at a task of which the watchdog has just spoken, until everybody has heard it.

    A broker in memory forgets what is said while nobody listens, as when daprd has not subscribed yet.
    """
    return now + HEARD_WITHIN if task.phase.owner is Owner.STORAGE else look_at


def overdue(
    task: Task,
    heard_at: datetime | None,
    now: datetime,
    backoff: Backoff,
    randomness: random.Random,
    others: Sequence[Task] = (),
    held: bool = False,
    needed: Mapping[str, Task] = NOTHING,
) -> Overdue:
    """What an overdue task needs. `heard_at` is when scheduling heard of the record's attempt and phase, if it did.

    `others` are the open instances of the same series; `held` says that the task has waited for one of them since
    its time. `needed` are the tasks whose results it needs, by their ids.
    """
    if heard_at is None or task.phase.terminal:
        return Overdue(announce=True)
    match task.phase:
        case Phase.BLOCKED:
            return Overdue(supplied_or_skipped(task, needed, now))
        case Phase.SCHEDULED:
            return Overdue(_at_start(task, now, others, held))
        case Phase.QUEUED | Phase.RETRY_WAIT:
            return Overdue(Expire() if task.expires_at and task.expires_at <= now else None)
        case Phase.ASSIGNED:
            return Overdue(TakeBack(task.attempt))
        case Phase.STORING:
            return Overdue(announce=True)
        case _:
            return Overdue(_end_run(task, heard_at, now, backoff, randomness))


def _at_start(task: Task, now: datetime, others: Sequence[Task], held: bool) -> Move | None:
    if task.start_at is not None and task.start_at > now:
        return None
    if task.expires_at and task.expires_at <= now:
        return Expire()
    if _is_missed(task, now, others, held):
        return Skip(MISSED)
    earlier = _earlier(task, others)
    if task.series is not None and task.series.overlap is Overlap.SKIP:
        return Skip(OVERLAPS) if any(other.phase is not Phase.SCHEDULED for other in earlier) else Release()
    return None if is_held(task, now, others) else Release()


def is_held(task: Task, now: datetime, others: Sequence[Task]) -> bool:
    """Whether its time has come, and an earlier instance of its series has to end first."""
    waits = task.series is not None and task.series.overlap is Overlap.WAIT
    its_time = task.phase is Phase.SCHEDULED and (task.start_at is None or task.start_at <= now)
    return waits and its_time and bool(_earlier(task, others))


def _earlier(task: Task, others: Sequence[Task]) -> list[Task]:
    """Instances for earlier times that have not ended."""
    at = task.series.at if task.series is not None else None
    return [other for other in others if at and other.series and other.series.at < at and not other.phase.terminal]


def _is_missed(task: Task, now: datetime, others: Sequence[Task], held: bool) -> bool:
    if task.series is None or held or now - task.series.at <= MISSED_AFTER:
        return False
    if task.series.missed is Missed.SKIP:
        return True
    later = [other for other in others if other.series and task.series.at < other.series.at <= now]
    return task.series.missed is Missed.LATEST and bool(later)


def _end_run(task: Task, heard_at: datetime, now: datetime, backoff: Backoff, randomness: random.Random) -> Move:
    if task.cancel_requested:
        return Cancel(task.attempt)
    limit = hard_deadline(task, heard_at)
    if limit is not None and now >= limit:
        return Fail(task.attempt, TIME_LIMIT_EXCEEDED)
    return after_failure(task, task.attempt, WORKER_LOST, now, backoff, randomness)
