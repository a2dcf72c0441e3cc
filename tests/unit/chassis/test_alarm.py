import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from chassis.alarm import Alarm
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


@asynccontextmanager
async def kept(jobs: InMemoryJobs, overdue: timedelta = timedelta(seconds=5)) -> AsyncIterator[Alarm]:
    alarm = Alarm(jobs, SettableClock(), "alarm", overdue)
    keeping = asyncio.create_task(alarm.keep_set())
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


async def test_a_ring_that_never_comes_is_asked_for_again() -> None:
    jobs = CountingJobs()
    async with kept(jobs, overdue=timedelta(seconds=0.01)) as alarm:
        alarm.at(after(0))
        await until(lambda: len(jobs.asked) >= 3)


async def test_a_ring_after_which_nothing_is_due_is_not_missed() -> None:
    jobs = CountingJobs()

    async def nothing_more(_now: datetime) -> None:
        return None

    with capture_logs() as said:
        async with kept(jobs, overdue=timedelta(seconds=0.02)) as alarm:
            alarm.at(after(0))
            await until(lambda: bool(jobs.asked))
            await alarm.ring(nothing_more)
            await asyncio.sleep(0.1)
    assert said == []
    assert len(jobs.asked) == 1


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
    keeping = asyncio.create_task(alarm.keep_set())
    alarm.at(due)
    await asyncio.sleep(0.1)
    keeping.cancel()
    assert rings == 1
