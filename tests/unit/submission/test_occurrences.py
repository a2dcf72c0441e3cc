"""The times of a series, against an independent calendar library."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from contracts.series import SeriesPlan
from contracts.testing.examples import NOON
from dateutil import rrule
from hypothesis import example, given
from hypothesis import strategies as st
from submission.domain.occurrences import (
    ImpossibleRule,
    check_cron,
    in_words,
    latest_occurrence,
    occurrences,
    time_zones,
)

ZONES = ("Europe/London", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns")
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
MINUTES, HOURS = st.integers(0, 59), st.integers(0, 23)


def plan(**fields: object) -> SeriesPlan:
    return SeriesPlan.model_validate({"request": {}, "from_at": datetime(2000, 1, 1, tzinfo=UTC)} | fields)


def times(found: SeriesPlan, after: datetime, count: int) -> list[datetime]:
    return list(islice(occurrences(found, after), count))


def some(most: int, least: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(least, most), min_size=1, max_size=4, unique=True)


def text(values: Sequence[int] | None) -> str:
    return "*" if values is None else ",".join(map(str, values))


@given(MOMENTS, some(59, 0), some(23, 0), st.none() | some(28, 1), st.none() | some(12, 1), st.none() | some(6, 0))
def test_cron_in_utc_is_what_another_calendar_says(
    after: datetime,
    minutes: list[int],
    hours: list[int],
    days: list[int] | None,
    months: list[int] | None,
    weekdays: list[int] | None,
) -> None:
    if days is not None and weekdays is not None:
        weekdays = None  # either of the two would do for cron, and both are wanted by the other
    cron = " ".join(text(field) for field in (minutes, hours, days, months, weekdays))
    expected = rrule.rrule(
        rrule.MINUTELY if days is None and weekdays is None and months is None else rrule.DAILY,
        dtstart=after.replace(second=0, microsecond=0),
        byminute=minutes,
        byhour=hours,
        bymonthday=days,
        bymonth=months,
        byweekday=[(day - 1) % 7 for day in weekdays] if weekdays is not None else None,
        bysecond=0,
    )
    assert times(plan(cron=cron), after, 12) == list(islice((at for at in expected if at > after), 12))


@given(MOMENTS, MOMENTS, st.integers(1, 10**7))
def test_an_interval_is_what_another_calendar_says(start: datetime, after: datetime, seconds: int) -> None:
    skipped = max(0, (after - start) // timedelta(seconds=seconds))
    near = start + skipped * timedelta(seconds=seconds)
    expected = (
        at + timedelta(0) for at in rrule.rrule(rrule.SECONDLY, interval=seconds, dtstart=near.replace(microsecond=0))
    )
    fraction = timedelta(microseconds=near.microsecond)
    wanted = islice((at + fraction for at in expected if at + fraction > after), 5)
    assert times(plan(every_seconds=seconds, from_at=start), after, 5) == list(wanted)


@given(MOMENTS, MINUTES, HOURS, st.sampled_from(ZONES))
def test_what_comes_daily_comes_on_each_day_once(after: datetime, minute: int, hour: int, zone: str) -> None:
    found = [
        at.astimezone(ZoneInfo(zone)) for at in times(plan(cron=f"{minute} {hour} * * *", time_zone=zone), after, 400)
    ]
    days = [at.date() for at in found]
    assert days == [days[0] + timedelta(days=n) for n in range(400)]
    for at in found:
        if (at.hour, at.minute) != (hour, minute):
            assert _is_skipped(at, hour, minute)


def _is_skipped(at: datetime, hour: int, minute: int) -> bool:
    """Whether no clock of the zone showed that time on that day."""
    wanted = at.replace(hour=hour, minute=minute, fold=0)
    return wanted.astimezone(UTC).astimezone(at.tzinfo).replace(tzinfo=None) != wanted.replace(tzinfo=None)


@given(MOMENTS, some(59, 0), st.sampled_from(["*", "*/2", "*/6"]), st.sampled_from(ZONES))
@example(datetime(2032, 3, 30, tzinfo=UTC), [0], "*/2", "Australia/Lord_Howe")
@example(datetime(2032, 9, 28, tzinfo=UTC), [0, 30], "*/2", "Australia/Lord_Howe")
@example(datetime(2032, 9, 28, tzinfo=UTC), [30], "*/2", "Australia/Lord_Howe")
def test_what_comes_every_hour_fits_its_fields_and_misses_none(
    after: datetime, minutes: list[int], hours: str, zone: str
) -> None:
    step = int(hours.partition("/")[2] or 1)
    found = times(plan(cron=f"{text(minutes)} {hours} * * *", time_zone=zone), after, 60)
    local = [at.astimezone(ZoneInfo(zone)) for at in found]
    assert all(at.minute in minutes and at.hour % step == 0 for at in local)
    every = (after.replace(second=0, microsecond=0) + timedelta(minutes=n) for n in range(1, 60 * 24 * 20))
    clock = ((at, at.astimezone(ZoneInfo(zone))) for at in every)
    fitting = (at for at, shown in clock if shown.minute in minutes and shown.hour % step == 0)
    assert found == list(islice(fitting, 60))


@given(MOMENTS, some(59, 0), some(23, 0), st.sampled_from(ZONES), st.integers(0, 30))
def test_going_on_from_any_of_the_times_changes_nothing(
    after: datetime, minutes: list[int], hours: list[int], zone: str, place: int
) -> None:
    found = plan(cron=f"{text(minutes)} {text(hours)} * * *", time_zone=zone)
    at_once = times(found, after, 40)
    assert at_once == sorted(set(at_once))
    assert times(found, at_once[place], 40 - place - 1) == at_once[place + 1 :]


@given(MOMENTS, some(59, 0), some(23, 0), st.sampled_from(ZONES), st.integers(0, 10**6))
def test_the_latest_is_the_last_of_all(
    after: datetime, minutes: list[int], hours: list[int], zone: str, seconds: int
) -> None:
    found, until = plan(cron=f"{text(minutes)} {text(hours)} * * *", time_zone=zone), after + timedelta(seconds=seconds)
    expected = [at for at in times(found, after, 1200) if at <= until]
    assert latest_occurrence(found, after, until) == (expected[-1] if expected else None)


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("30 2 * * *", "2026-03-29T00:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),  # skipped hour
        ("30 2 * * *", "2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),  # repeated hour
        ("30 * * * *", "2026-10-25T00:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]),  # both of them
        ("15,30 2 * * *", "2026-10-25T01:20:00Z", ["2026-10-26T01:15:00Z"]),  # within the repetition
    ],
)
def test_a_clock_that_is_put_forward_or_back(cron: str, after: str, expected: list[str]) -> None:
    found = times(plan(cron=cron, time_zone="Europe/Berlin"), datetime.fromisoformat(after), len(expected))
    assert found == [datetime.fromisoformat(at) for at in expected]


def test_the_first_may_be_at_the_start_and_the_last_at_the_end() -> None:
    hourly = plan(every_seconds=3600, from_at=NOON, until_at=NOON + timedelta(hours=2))
    assert times(hourly, NOON - timedelta(days=1), 9) == [NOON + timedelta(hours=n) for n in range(3)]
    daily = plan(cron="0 12 * * *", from_at=NOON, until_at=NOON + timedelta(days=1))
    assert times(daily, NOON - timedelta(days=9), 9) == [NOON, NOON + timedelta(days=1)]


@pytest.mark.parametrize("rule", [{"cron": "* * * * *"}, {"cron": "0 0 29 2 *"}, {"every_seconds": 60}])
def test_nothing_comes_at_the_end_of_the_calendar(rule: dict[str, object]) -> None:
    end = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    assert times(plan(**rule), end, 3) == []


@pytest.mark.parametrize(
    "cron",
    [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "0 0 30 2 *", "0 0 31 4,6 *", "@daily", "a b c d e",
        "*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "0 0 0 * *", "² * * * *", "0 " * 5000, "1" * 5000 + " * * * *",
        "0 0 L-1 * *", "-1 * * * *", "0 0 * * MON#6", "\x00 * * * *",
    ],
)  # fmt: skip
def test_what_is_no_rule(cron: str) -> None:
    with pytest.raises(ImpossibleRule):
        check_cron(cron)


@pytest.mark.parametrize("cron", ["*/5 * * * *", "0 9 * * MON-FRI", "0 0 29 2 *", "0 0 L * *", "0 0 * 2 MON#5"])
def test_what_is_one(cron: str) -> None:
    check_cron(cron)


@given(st.text(max_size=120) | st.text("0123456789*/,-#L MONWED", max_size=40))
def test_nonsense_is_refused_and_never_met_by_a_bug(cron: str) -> None:
    try:
        check_cron(cron)
    except ImpossibleRule:
        return
    assert len(times(plan(cron=cron), NOON, 2)) > 0


def test_only_names_of_the_database_are_time_zones() -> None:
    assert {"UTC", *ZONES} <= time_zones()
    assert not time_zones() & {"../../etc/passwd", "/etc/localtime", "localtime", "", "europe/london", "UTC\x00"}


def test_a_time_in_words() -> None:
    assert in_words(NOON, "Europe/Berlin") == "Thu 2026-01-01 13:00:00 CET (UTC+0100)"
