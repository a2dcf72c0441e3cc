"""What becomes of a series: plain functions from its record to the next.

The record says what is intended before anything is done about it: which instances are to be made, and which
withdrawn. Whoever carries it out may die at any point; the next one finds the intention and does the rest.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from contracts.errors import NotFound, Problem
from contracts.identifiers import task_id_for
from contracts.series import Instance, Series, SeriesPlan
from contracts.tasks import MISSED_AFTER, Missed, Phase, SeriesPart, Task

from submission.domain.occurrences import latest_occurrence, occurrences

MOST_OPEN = 10
SHOWN = 10
LOOK_AFTER = timedelta(minutes=15)
"""How long after its time an instance should have ended, or else be looked at."""
LOOK_AT_LEAST = timedelta(days=1)
CLOCKS_DIFFER = timedelta(minutes=2)
"""What begins so much before its time, begins by somebody else's clock; what ends earlier was cancelled."""

WITHDRAWN = Problem.of(
    "series-changed",
    "Its series was changed",
    "The series was edited, paused or ended before the task's time had come.",
    retryable=False,
)


class SeriesState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    FINISHED = "finished"
    """It has no further times, and what it has asked for has ended."""
    ENDED = "ended"


class Outcome(StrEnum):
    """What came of withdrawing an instance."""

    WITHDRAWN = "withdrawn"
    BEGUN = "begun"
    OVER = "over"


def state_of(series: Series) -> SeriesState:
    if series.ended:
        return SeriesState.ENDED
    if series.exhausted and not series.open and not series.withdrawing:
        return SeriesState.FINISHED
    return SeriesState.PAUSED if series.plan.paused else SeriesState.ACTIVE


def own_series(series: Series | None, series_id: str, project_id: str) -> Series:
    """The series, if it is the project's. Raises `NotFound`, for an unknown id and for another project's alike."""
    if series is None or series.project_id != project_id:
        raise NotFound(f"no series {series_id} in this project")
    return series


def begins_after(plan: SeriesPlan, now: datetime) -> datetime:
    """Behind which moment the first time lies: a start in the past only says from where an interval is counted."""
    return now if plan.from_at < now else plan.from_at - timedelta(microseconds=1)


def planned(series: Series, now: datetime) -> Series:
    """Intends the next instances, so that there are `MOST_OPEN`. Nothing new before everything old is withdrawn."""
    if series.ended or series.plan.paused or series.withdrawing or series.exhausted:
        return series
    room, left = MOST_OPEN - len(series.open), _left(series)
    if room <= 0 and left > 0:
        return series
    beginning = _behind_missed(series, now)
    # One more than is needed tells whether these are the last.
    times = list(islice(occurrences(series.plan, beginning), min(room, left) + 1))
    taken = times[: min(room, left)]
    exhausted = len(times) == len(taken) or left <= len(taken)
    if not taken and not exhausted:
        return series
    return series.model_copy(
        update={
            "open": (*series.open, *(_intended(series, at) for at in taken)),
            "after": taken[-1] if taken else series.after,
            "made": series.made + len(taken),
            "exhausted": exhausted,
        }
    )


def _left(series: Series) -> int:
    return max(0, series.plan.count - series.made) if series.plan.count is not None else MOST_OPEN + 1


def _behind_missed(series: Series, now: datetime) -> datetime:
    """Where to go on: behind what was missed, as far as it shall not be made up for."""
    on_time = now - MISSED_AFTER
    if series.plan.missed is Missed.RUN or series.after >= on_time:
        return series.after
    if series.plan.missed is Missed.LATEST:
        latest = latest_occurrence(series.plan, series.after, on_time)
        return latest - timedelta(microseconds=1) if latest is not None else series.after
    return on_time


def _intended(series: Series, at: datetime) -> Instance:
    key = f"series:{series.id}:{series.revision}:{at.isoformat()}"
    return Instance(task_id=task_id_for(series.project_id, key), revision=series.revision, at=at)


def part_of(series: Series, instance: Instance) -> SeriesPart:
    plan = series.plan
    return SeriesPart(
        id=series.id, revision=instance.revision, at=instance.at, overlap=plan.overlap, missed=plan.missed
    )


def made(series: Series, task_ids: Collection[str], problem: Problem | None) -> Series:
    """Notes which of the intended instances exist. What a problem keeps from being made is intended anew later."""
    found = tuple(
        one.model_copy(update={"made": True}) if one.task_id in task_ids and not one.made else one
        for one in series.open
    )
    refused = [one for one in found if not one.made] if problem is not None else []
    if found == series.open and problem == series.problem and not refused:
        return series
    after = min(one.at for one in refused) - timedelta(microseconds=1) if refused else series.after
    return series.model_copy(
        update={
            "open": tuple(one for one in found if one not in refused),
            "after": min(series.after, after),
            "made": max(0, series.made - len(refused)),
            "exhausted": series.exhausted and not refused,
            "problem": problem,
        }
    )


def let_go(series: Series, ended: Collection[str], now: datetime) -> Series:
    """Without the instances whose tasks have ended."""
    over = [one for one in series.open if one.task_id in ended]
    if not over:
        return series
    still = tuple(one for one in series.open if one.task_id not in ended)
    return _begun(series.model_copy(update={"open": still}), over, now)


def settled(series: Series, outcomes: Mapping[str, Outcome], now: datetime) -> Series:
    """Notes what came of withdrawing instances: those that have begun stay open, and their times are used up."""
    known = [one for one in series.withdrawing if one.task_id in outcomes]
    if not known:
        return series
    begun = [one for one in known if outcomes[one.task_id] is Outcome.BEGUN]
    withdrawn = sum(outcomes[one.task_id] is Outcome.WITHDRAWN for one in known)
    changed = series.model_copy(
        update={
            "withdrawing": tuple(one for one in series.withdrawing if one.task_id not in outcomes),
            "open": (*series.open, *(one.model_copy(update={"made": True}) for one in begun)),
            "made": max(0, series.made - withdrawn),
        }
    )
    return _begun(changed, [one for one in known if outcomes[one.task_id] is not Outcome.WITHDRAWN], now)


def _begun(series: Series, instances: Collection[Instance], now: datetime) -> Series:
    times = [one.at for one in instances if one.at <= now + CLOCKS_DIFFER]
    if not times:
        return series
    until = max(times) if series.begun_until is None else max(*times, series.begun_until)
    return series.model_copy(update={"begun_until": until, "after": max(series.after, until)})


def outcome_of(task: Task) -> Outcome:
    """What has become of an instance that was to be withdrawn."""
    if not task.phase.terminal:
        return Outcome.BEGUN
    withdrawn = task.phase is Phase.SKIPPED and task.error is not None and task.error.code == WITHDRAWN.code
    return Outcome.WITHDRAWN if withdrawn else Outcome.OVER


def edited(series: Series, plan: SeriesPlan, now: datetime) -> Series:
    """With another plan from now on: what has not begun is withdrawn, and made anew as the plan then says."""
    if plan == series.plan:
        return series
    if plan == series.plan.model_copy(update={"title": plan.title}):
        return series.model_copy(update={"plan": plan, "updated_at": now})
    after = begins_after(plan, now)
    return series.model_copy(
        update={
            "plan": plan,
            "revision": series.revision + 1,
            "open": (),
            "withdrawing": (*series.withdrawing, *series.open),
            "after": max(after, series.begun_until) if series.begun_until is not None else after,
            "exhausted": False,
            "problem": None,
            "updated_at": now,
        }
    )


def ended(series: Series, now: datetime) -> Series:
    """Asks for nothing more: what has not begun is withdrawn, what has begun goes on."""
    if series.ended:
        return series
    withdrawing = (*series.withdrawing, *series.open)
    return series.model_copy(
        update={"ended": True, "open": (), "withdrawing": withdrawing, "problem": None, "updated_at": now}
    )


def over(series: Series) -> bool:
    """Whether nothing will ever be done about it again."""
    return series.ended and not series.open and not series.withdrawing


def next_look(series: Series, now: datetime) -> datetime:
    """When to look at it, should no end of an instance be heard by then."""
    if series.problem is not None or series.withdrawing or not all(one.made for one in series.open):
        return now + LOOK_AFTER
    times = [max(one.at, now) + LOOK_AFTER for one in series.open]
    return min([now + LOOK_AT_LEAST, *times])


def first_times(plan: SeriesPlan, after: datetime) -> list[datetime]:
    """The next times of a plan of which none has been taken up."""
    return list(islice(occurrences(plan, after), SHOWN if plan.count is None else min(SHOWN, plan.count)))


def next_times(series: Series, now: datetime) -> list[datetime]:
    """The times to come, whether they have an instance already or not."""
    if series.ended or series.plan.paused:
        return []
    waiting = [one.at for one in series.open if one.at > now]
    following = islice(occurrences(series.plan, max(series.after, now)), min(SHOWN, _left(series)))
    return [*waiting, *following][:SHOWN]
