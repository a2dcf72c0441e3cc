"""Two replicas of scheduling over one database, each with its own clock. Only one leads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from contracts.events import Message, task_changed
from contracts.tasks import Phase
from contracts.testing import SettableClock
from contracts.testing.examples import NOON, a_task
from contracts.topics import QUEUE_UPDATES
from scheduling.app import create

from tests.conftest import TEST_POSTGRES, Serve, World, settle, until
from tests.unit.scheduling.driving import Scheduling, settings_of

LEADER_LEASE = timedelta(seconds=0.12)
"""Looked at every ten milliseconds of real time, so that a test need not wait for long."""

BEATS_WITHIN_SECONDS = 0.06 if TEST_POSTGRES else 0.02
"""In which a leader beats once, on a machine that is busy with other tests."""

START_WITHIN = timedelta(seconds=0.4)


class Replicas:
    """Broadcasts reach every replica; a test says which one hears the rest."""

    def __init__(self, world: World, serve: Serve, database: str) -> None:
        self.world, self._serve, self._database = world, serve, database
        self._running: dict[str, AsyncExitStack] = {}
        self._replicas: dict[str, Scheduling] = {}
        self.clocks: dict[str, SettableClock] = {}
        world.bus.subscribe(QUEUE_UPDATES.name, self.broadcast)

    async def start(self, name: str, skew: timedelta = timedelta(), **durations: timedelta) -> Scheduling:
        self.clocks[name] = clock = SettableClock(NOON + skew)
        settings = settings_of(self._database, name, leader_lease=LEADER_LEASE, start_within=START_WITHIN, **durations)
        self._running[name] = stack = AsyncExitStack()
        running = await stack.enter_async_context(
            self._serve([create(settings, replace(self.world.outside, clock=clock))])
        )
        self._replicas[name] = Scheduling(running, self.world)
        return self._replicas[name]

    async def stop(self, *names: str) -> None:
        for name in names or tuple(self._running):
            self._replicas.pop(name, None)
            await self._running.pop(name).aclose()

    def lose(self, name: str) -> None:
        """What the replica is to others when its machine has lost power: it hears and says nothing any more."""
        del self._replicas[name]

    async def broadcast(self, message: Message) -> None:
        for replica in self._replicas.values():
            assert await replica.running.deliver(message) == "SUCCESS"

    async def heartbeat(self, **changes: object) -> None:
        for replica in self._replicas.values():
            await replica.heartbeat(**changes)

    async def pass_time(self, *names: str, seconds: float) -> None:
        """In steps that leave a leader the time to beat."""
        step = LEADER_LEASE.total_seconds() / 6
        for _ in range(round(seconds / step)):
            for name in names:
                self.clocks[name].advance(seconds=step)
            await asyncio.sleep(BEATS_WITHIN_SECONDS)
        await settle(self.world)


@pytest.fixture
async def replicas(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Replicas]:
    replicas = Replicas(world, serve, database_url("scheduling"))
    yield replicas
    await replicas.stop()


async def test_what_one_hears_the_leader_gives_away_at_once(replicas: Replicas) -> None:
    await replicas.start("a")
    b = await replicas.start("b")
    await replicas.heartbeat()
    task = await b.accept()
    assert [(one.task_id, one.attempt) for one in b.assignments] == [(task.id, 1)]
    assert replicas.world.bus.types == ["queue.grew.v1", "task.assigned.v1", "task.assignment.v1"]


async def test_what_the_leader_hears_needs_no_telling(replicas: Replicas) -> None:
    a = await replicas.start("a")
    await replicas.start("b")
    await replicas.heartbeat()
    await a.accept()
    assert replicas.world.bus.types == ["task.assigned.v1", "task.assignment.v1"]


async def test_the_leader_wakes_for_what_another_noted(replicas: Replicas) -> None:
    await replicas.start("a")
    b = await replicas.start("b")
    await b.accept(expires_at=NOON + timedelta(minutes=1))
    assert replicas.world.jobs.due["scheduling-watchdog-a"] == NOON + timedelta(minutes=1)


async def test_a_ring_that_reaches_another_replica_is_passed_on(replicas: Replicas) -> None:
    await replicas.start("a")
    b = await replicas.start("b")
    await replicas.heartbeat()
    task = await b.accept()
    await replicas.pass_time("a", "b", seconds=START_WITHIN.total_seconds())
    assert await b.running.ring("scheduling-watchdog-a") == 204
    await settle(replicas.world)
    found = await b.now(task)
    assert (found.attempt, found.failures) == (2, 0), "not begun in time, taken back by the leader and given again"


async def test_who_stops_is_followed_at_once(replicas: Replicas) -> None:
    await replicas.start("a")
    b = await replicas.start("b")
    await replicas.heartbeat()
    await replicas.stop("a")
    task = await b.accept()
    await until(lambda: [one.task_id for one in b.assignments] == [task.id])


async def test_when_the_leader_dies_another_takes_over_and_nothing_is_lost(replicas: Replicas) -> None:
    a = await replicas.start("a")
    b = await replicas.start("b")
    await replicas.heartbeat(slots=2)
    running, waiting = await a.accept(), a_task(id=a_task(project_id="p2").id, project_id="p2")
    await b.tasks.create(waiting)
    replicas.lose("a")
    assert await b.running.deliver(task_changed(waiting, "test")) == "SUCCESS"
    await settle(replicas.world)
    assert [one.task_id for one in b.assignments] == [running.id], "nobody leads yet"
    await replicas.pass_time("b", seconds=LEADER_LEASE.total_seconds())
    assert [one.task_id for one in b.assignments] == [running.id, waiting.id], "its picture of the workers was warm"
    await replicas.pass_time("b", seconds=START_WITHIN.total_seconds())
    assert await b.running.ring("scheduling-watchdog-b") == 204
    await settle(replicas.world)
    assert (await b.now(running)).attempt == 2, "what the first had given away is watched by the second"


async def test_while_both_believe_they_lead_no_task_gets_two_attempts(replicas: Replicas) -> None:
    """The first one's clock stands still: it takes its lease for fresh, long after the second took over."""
    a = await replicas.start("a")
    b = await replicas.start("b")
    await replicas.pass_time("b", seconds=LEADER_LEASE.total_seconds())
    tasks = [a_task(id=a_task(project_id=f"p{number}").id, project_id=f"p{number}") for number in range(12)]
    for task in tasks:
        await a.tasks.create(task)
    for replica in (a, b):
        await replica.heartbeat(slots=len(tasks))
    await asyncio.gather(*(r.running.deliver(task_changed(task, "test")) for task in tasks for r in (a, b)))
    await settle(replicas.world)
    assert "queue.grew.v1" not in replicas.world.bus.types, "both lead"
    assert sorted((one.task_id, one.attempt) for one in a.assignments) == sorted((task.id, 1) for task in tasks)
    for task in tasks:
        found = await a.now(task)
        assert (found.phase, found.attempt) == (Phase.ASSIGNED, 1)


@pytest.mark.parametrize("skew", [-60, 60])
async def test_what_a_replica_with_another_clock_hears_comes_neither_early_nor_late(
    replicas: Replicas, skew: float
) -> None:
    lease = timedelta(seconds=0.6)
    a = await replicas.start("a", lease=lease)
    b = await replicas.start("b", timedelta(seconds=skew), lease=lease)
    await replicas.pass_time("a", "b", seconds=0.12)
    await replicas.heartbeat()
    task = await a.accept()
    await b.generate(task)
    await replicas.pass_time("a", "b", seconds=0.5)
    assert await a.running.ring("scheduling-watchdog-a") == 204
    assert (await a.now(task)).phase is Phase.GENERATING
    await replicas.pass_time("a", "b", seconds=0.12)
    assert await a.running.ring("scheduling-watchdog-a") == 204
    assert (await a.now(task)).phase is Phase.RETRY_WAIT
