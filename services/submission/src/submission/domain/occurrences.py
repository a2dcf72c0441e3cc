"""The times of a series, by its rule."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import islice
from zoneinfo import ZoneInfo

from contracts.series import SeriesPlan
from cronsim import CronSim, CronSimError

FIELDS = 5
LONGEST_CRON = 100
LAST_YEAR = 9900
"""Moments are computed with, and none of them may leave the calendar on the way."""
SET_BY_HALF_AN_HOUR = frozenset({"Australia/Lord_Howe", "Australia/LHI"})
"""Zones in which cronsim, which looks for hours and minutes in steps of whole hours, passes over what comes right after
the clock was set."""
_WINDOWS = tuple(timedelta(days=days) for days in (1 / 24, 1, 31, 366, 36525))


class ImpossibleRule(ValueError):
    """No cron expression, or one that no day ever fits; the text says why."""


@cache
def time_zones() -> frozenset[str]:
    """The names in the IANA database: others may be paths, or mean something on one machine alone."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def occurrences(plan: SeriesPlan, after: datetime) -> Iterator[datetime]:
    """The plan's times later than `after`, each once, in their order and in UTC, up to `until_at`. May have no end.

    Cron has its times as Debian's does: what is set to an hour that the clock skips comes right after the gap, and
    what is set to an hour that it repeats comes once; what comes every hour or minute goes by real time.
    """
    if plan.from_at > after:
        after = plan.from_at - timedelta(microseconds=1)
    if after.year > LAST_YEAR:
        return
    for at in _by_interval(plan, after) if plan.every_seconds else _by_cron(plan, after):
        if at.year > LAST_YEAR or (plan.until_at is not None and at > plan.until_at):
            return
        if at > after:
            after = at
            yield at


def latest_occurrence(plan: SeriesPlan, after: datetime, until: datetime) -> datetime | None:
    """The last time later than `after` and not later than `until`; looked for from its end, as there may be many."""
    until = until if plan.until_at is None else min(until, plan.until_at)
    for window in _WINDOWS:
        beginning = max(after, until - window)
        found = None
        for at in occurrences(plan, beginning):
            if at > until:
                break
            found = at
        if found is not None or beginning == after:
            return found
    return None


def check_cron(expression: str) -> None:
    """Raises `ImpossibleRule`."""
    if len(expression) > LONGEST_CRON or len(expression.split()) != FIELDS:
        raise ImpossibleRule(f"has not {FIELDS} fields in {LONGEST_CRON} characters")
    try:
        found = list(islice(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)), 1))
    except (CronSimError, AssertionError, ValueError) as error:
        raise ImpossibleRule(str(error) or "cannot be read") from None
    if not found:
        raise ImpossibleRule("fits no day in fifty years")


def in_words(at: datetime, time_zone: str) -> str:
    """The time on a clock of that zone, with the day of the week, so that a person can check it."""
    return at.astimezone(ZoneInfo(time_zone)).strftime("%a %Y-%m-%d %H:%M:%S %Z (UTC%z)")


def _by_interval(plan: SeriesPlan, after: datetime) -> Iterator[datetime]:
    step = timedelta(seconds=plan.every_seconds or 0)
    at = plan.from_at + ((after - plan.from_at) // step + 1) * step
    while True:
        yield at
        at += step


def _by_cron(plan: SeriesPlan, after: datetime) -> Iterator[datetime]:
    cron = CronSim(plan.cron or "", after.astimezone(ZoneInfo(plan.time_zone)))
    hours, minutes = cron.hours, cron.minutes
    if minute_by_minute := plan.time_zone in SET_BY_HALF_AN_HOUR and cron.fixup_tz is None:
        cron.hours, cron.minutes = set(range(24)), set(range(60))
    try:
        for at in cron:
            if not minute_by_minute or (at.hour in hours and at.minute in minutes):
                yield at.astimezone(UTC)
    except OverflowError:
        return
