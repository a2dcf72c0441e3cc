"""The worker while what it needs is away: it stops by itself what it may no longer do, and waits for the rest."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import stamina
from contracts.errors import DependencyUnavailable
from contracts.tasks import Phase
from contracts.workers import WorkerState
from gpu_worker.testing import instantly, until_killed

from tests.conftest import World, until
from tests.unit.gpu_worker.driving import Start, finish, step_by_step


async def test_cut_off_from_the_bus_it_stops_itself(start: Start) -> None:
    async with start(step_by_step, worker_heartbeat=timedelta(seconds=0.005)) as worker:
        await until(lambda: bool(worker.heartbeats))
        await worker.hear_itself()
        task = await worker.assign(lease=30)
        await worker.reaches(task, Phase.GENERATING)
        worker.world.clock.advance(seconds=31)
        await worker.is_idle()
        assert (task.id, 1) in worker.engine.stopped
        assert worker.heartbeats[-1].state is WorkerState.STARTING
        assert (await worker.now(task)).phase is Phase.GENERATING, "the lease decides what becomes of it"


async def test_a_sidecar_that_hangs_does_not_keep_it_from_stopping(
    start: Start, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start(step_by_step, worker_heartbeat=timedelta(seconds=0.02)) as worker:
        await until(lambda: bool(worker.heartbeats))
        await worker.hear_itself()
        task = await worker.assign(lease=30)
        await worker.reaches(task, Phase.GENERATING)

        async def hang(*_anything: object) -> None:
            await asyncio.Event().wait()

        for port, name in ((world.bus, "publish"), (world.state, "get"), (world.state, "replace")):
            monkeypatch.setattr(port, name, hang)
        world.clock.advance(seconds=21)
        await until(lambda: (task.id, 1) in worker.engine.stopped)
        monkeypatch.undo()


async def test_its_own_voice_from_long_ago_proves_nothing(start: Start, world: World) -> None:
    """A process that was frozen finds what waited for it when it goes on."""
    async with start(step_by_step, worker_heartbeat=timedelta(seconds=0.02)) as worker:
        await until(lambda: bool(worker.heartbeats))
        old = next(message for message in world.bus.messages if message.event.type == "worker.heartbeat.v1")
        await worker.running.deliver(old)
        task = await worker.assign(lease=30)
        await worker.reaches(task, Phase.GENERATING)
        world.clock.advance(seconds=21)
        await worker.running.deliver(old)
        await until(lambda: (task.id, 1) in worker.engine.stopped)


async def test_what_it_was_given_a_moment_ago_it_begins_although_it_was_deaf_before(start: Start, world: World) -> None:
    async with start(worker_heartbeat=timedelta(seconds=0.02)) as worker:
        await until(lambda: bool(worker.heartbeats))
        await worker.hear_itself()
        world.clock.advance(seconds=60)
        task = await worker.assign(lease=30)
        await worker.reaches(task, Phase.STORING)


async def test_an_engine_that_goes_on_with_an_abandoned_run_is_no_free_slot_and_is_killed(start: Start) -> None:
    """Wedged in a run that was given up: whatever came next would wait behind it until its own time limit."""
    async with start(
        until_killed, worker_heartbeat=timedelta(seconds=0.005), worker_stop_within=timedelta(seconds=0.2)
    ) as worker:
        worker.engine.wedged = True
        await until(lambda: bool(worker.heartbeats))
        await worker.hear_itself()
        task = await worker.assign(lease=30)
        await worker.reaches(task, Phase.GENERATING)
        worker.world.clock.advance(seconds=31)
        await until(lambda: worker.heartbeats[-1].slots == 0)
        assert worker.heartbeats[-1].runs == (), "nobody may renew the lease of what was given up"
        await until(lambda: worker.engine.replacements == 1)
        await until(lambda: worker.heartbeats[-1].slots == 1)


async def test_an_object_store_that_is_away_is_tried_again(start: Start, world: World) -> None:
    class Away(type(world.objects)):  # type: ignore[misc]
        away = 2

        async def put(self, key: str, content: bytes | Path) -> None:
            if self.away:
                self.away -= 1
                raise DependencyUnavailable("away")
            await super().put(key, content)

    world.objects = Away()
    with stamina.set_testing(True, attempts=5):
        async with start() as worker:
            await worker.reaches(await worker.assign(), Phase.STORING)


async def test_a_state_store_that_is_away_for_a_moment_costs_no_run(start: Start, world: World) -> None:
    """What a save stands for has cost a GPU up to hours."""

    class Shaky(type(world.state)):  # type: ignore[misc]
        turn = 0

        async def replace(self, key: str, value: bytes, etag: str) -> None:
            self.turn += 1
            if self.turn % 2:
                raise DependencyUnavailable("away")
            await super().replace(key, value, etag)

    async with start(step_by_step) as worker:
        task = await worker.assign(params={"prompt": "x", "steps": 4})
        world.state.__class__ = Shaky
        with stamina.set_testing(True, attempts=5):
            for _ in range(5):
                world.clock.advance(seconds=3)
                await asyncio.sleep(0.01)
            worker.engine.script = instantly
            finish.set()
            found = await worker.reaches(task, Phase.STORING)
        assert (found.attempt, found.failures) == (1, 0)
