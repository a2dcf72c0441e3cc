import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from chassis.alarm import Alarm, DoDue
from contracts.errors import DependencyUnavailable
from contracts.testing import InMemoryJobs, SettableClock
from contracts.testing.examples import NOON
from structlog.testing import capture_logs

from tests.conftest import until


class CountingJobs(InMemoryJobs):
    """Counts what it is asked, and is away for the first `away` times."""

    def __init__(self, away: int = 0) -> None:
        super().__init__()
        self.asked: list[datetime] = []
        self.away = away

    async def schedule(self, name: str, due: datetime) -> None:
        self.asked.append(due)
        if self.away:
            self.away -= 1
            raise DependencyUnavailable("the scheduler is away")
        await super().schedule(name, due)


class Work:
    """What is due, as often as it is asked for; raises what the test puts in."""

    def __init__(self, clock: SettableClock, *errors: Exception, then: datetime | None = None) -> None:
        self.clock, self.errors, self.then = clock, list(errors), then
        self.tried = self.done = 0

    async def __call__(self, now: datetime) -> datetime | None:
        assert now == self.clock.now()
        self.tried += 1
        if self.errors:
            raise self.errors.pop(0)
        self.done += 1
        return self.then


async def nothing_due(_now: datetime) -> None:
    return None


@asynccontextmanager
async def kept(
    jobs: InMemoryJobs,
    do_due: DoDue = nothing_due,
    clock: SettableClock | None = None,
    at_least_every: timedelta | None = None,
) -> AsyncIterator[Alarm]:
    overdue = timedelta(seconds=0.01)
    alarm = Alarm(jobs, clock or SettableClock(), "alarm", overdue, at_least_every)
    keeping = asyncio.create_task(alarm.keep_set(do_due))
    try:
        yield alarm
    finally:
        keeping.cancel()


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


async def test_is_set_to_the_earliest_wish_and_asked_no_more_than_that() -> None:
    jobs = CountingJobs()
    async with kept(jobs) as alarm:
        alarm.at(after(30))
        await until(lambda: bool(jobs.due))
        for seconds in (60, 40, 30):
            alarm.at(after(seconds))
        alarm.at(after(10))
        await until(lambda: jobs.due == {"alarm": after(10)})
    assert jobs.asked == [after(30), after(10)]


async def test_after_a_ring_it_is_set_to_what_is_due_next() -> None:
    jobs = CountingJobs()

    async def do_due(_now: datetime) -> datetime:
        return after(90)

    async with kept(jobs) as alarm:
        alarm.at(after(10))
        await until(lambda: bool(jobs.due))
        await alarm.ring(do_due)
        await until(lambda: jobs.due == {"alarm": after(90)})


async def test_a_wish_during_the_ring_is_not_forgotten() -> None:
    jobs = CountingJobs()

    async with kept(jobs) as alarm:

        async def do_due(_now: datetime) -> datetime:
            alarm.at(after(20))
            return after(90)

        await alarm.ring(do_due)
        await until(lambda: jobs.due == {"alarm": after(20)})


async def test_a_scheduler_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.alarm.TRY_AGAIN_SECONDS", 0.0)
    jobs = CountingJobs(away=3)
    async with kept(jobs) as alarm:
        alarm.at(after(10))
        await until(lambda: jobs.due == {"alarm": after(10)})
    assert len(jobs.asked) == 4


async def test_what_is_overdue_is_done_without_a_ring() -> None:
    jobs, clock = CountingJobs(), SettableClock()
    work = Work(clock, then=after(90))
    async with kept(jobs, work, clock) as alarm:
        alarm.at(after(0))
        clock.advance(seconds=1)
        await until(lambda: jobs.due == {"alarm": after(90)})
    assert work.done == 1


async def test_a_scheduler_that_keeps_its_caller_waiting_delays_nothing() -> None:
    class Silent(InMemoryJobs):
        async def schedule(self, name: str, due: datetime) -> None:
            await asyncio.sleep(3600)

    clock = SettableClock()
    work = Work(clock, then=after(0))
    async with kept(Silent(), work, clock) as alarm:
        alarm.at(after(0))
        for done in (1, 2, 3):
            clock.advance(seconds=1)
            await until(lambda done=done: work.done == done)  # type: ignore[misc]


async def test_what_cannot_be_done_now_is_tried_again() -> None:
    clock = SettableClock()
    work = Work(clock, DependencyUnavailable("the database is away"), ZeroDivisionError())
    with capture_logs() as said:
        async with kept(InMemoryJobs(), work, clock) as alarm:
            alarm.at(after(0))
            for tried in (1, 2, 3):
                clock.advance(seconds=1)
                await until(lambda tried=tried: work.tried == tried)  # type: ignore[misc]
    assert [(line["event"], line.get("reason")) for line in said] == [
        ("what is due cannot be done now", "the database is away"),
        ("what is due met a bug", None),
    ]


async def test_a_ring_that_fails_leaves_the_alarm_set() -> None:
    jobs = CountingJobs()
    clock = SettableClock()
    async with kept(jobs, Work(clock), clock) as alarm:
        alarm.at(after(10))
        await until(lambda: bool(jobs.asked))
        with pytest.raises(DependencyUnavailable):
            await alarm.ring(Work(clock, DependencyUnavailable("the database is away")))
        await until(lambda: jobs.asked == [after(10), after(0)])


async def test_a_ring_after_which_nothing_is_due_is_not_missed() -> None:
    jobs = CountingJobs()
    with capture_logs() as said:
        async with kept(jobs) as alarm:
            alarm.at(after(0))
            await until(lambda: bool(jobs.asked))
            await alarm.ring(nothing_due)
            await asyncio.sleep(0.1)
    assert said == []
    assert len(jobs.asked) == 1


async def test_shared_work_is_looked_at_even_if_nobody_asks() -> None:
    jobs = CountingJobs()
    async with kept(jobs, at_least_every=timedelta(seconds=60)) as alarm:
        alarm.at(after(0))
        await until(lambda: bool(jobs.asked))
        await alarm.ring(nothing_due)
        await until(lambda: jobs.due == {"alarm": after(60)})


async def test_it_does_one_thing_at_a_time() -> None:
    clock = SettableClock()
    at_once = 0

    async def do_due(_now: datetime) -> None:
        nonlocal at_once
        at_once += 1
        assert at_once == 1
        await asyncio.sleep(0)
        at_once -= 1

    alarm = Alarm(InMemoryJobs(), clock, "alarm")
    await asyncio.gather(*(alarm.ring(do_due) for _ in range(3)))


async def test_a_scheduler_whose_clock_is_ahead_is_not_kept_ringing() -> None:
    clock, rings, ringing = SettableClock(), 0, set()

    class Hasty:
        """For it everything is due."""

        async def schedule(self, name: str, due: datetime) -> None:
            ringing.add(asyncio.create_task(alarm.ring(nothing_is_due)))

        async def cancel(self, name: str) -> None: ...

    async def nothing_is_due(_now: datetime) -> datetime:
        nonlocal rings
        rings += 1
        return due

    alarm, due = Alarm(Hasty(), clock, "alarm"), clock.now() + timedelta(seconds=60)
    keeping = asyncio.create_task(alarm.keep_set(nothing_is_due))
    alarm.at(due)
    await asyncio.sleep(0.1)
    keeping.cancel()
    assert rings == 1
