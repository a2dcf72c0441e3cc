"""Other services' clocks are a minute ahead of scheduling's, or a minute behind. Nothing comes early, nothing late."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest
from contracts.records import TaskRecords
from contracts.tasks import Advance, Move, Phase, RetryLater, Task
from contracts.testing.examples import a_problem, a_task
from contracts.workers import Run, WorkerState
from scheduling.app import create

from tests.conftest import Serve, World
from tests.unit.scheduling.driving import Scheduling, settings_of


class SkewedClock:
    def __init__(self, world: World, skew: timedelta) -> None:
        self._world, self._skew = world, skew

    def now(self) -> datetime:
        return self._world.clock.now() + self._skew


class Skewed(Scheduling):
    """Scheduling among workers, storage and submission that share another clock."""

    theirs: SkewedClock

    async def beat(self, **changes: object) -> None:
        await self.heartbeat(sent_at=self.theirs.now(), started_at=self.theirs.now(), **changes)

    async def submit(self, project_id: str = "p1", **changes: object) -> Task:
        now = self.theirs.now()
        moments = {"created_at": now, "updated_at": now, "phase_since": now, "deadline": now + timedelta(minutes=5)}
        return await self.accept(id=a_task(project_id=project_id).id, project_id=project_id, **moments | changes)

    async def move(self, task: Task, move: Move) -> None:
        await self.hear(await TaskRecords(self.world.state, self.theirs).change(task.id, lambda found: move))

    async def run_for(self, task: Task, seconds: int) -> Phase:
        """Its worker names the run all the while."""
        run = Run(task_id=task.id, attempt=1, phase=Phase.GENERATING, on_device=True)
        for _ in range(seconds // 10):
            await self.pass_time(seconds=10)
            await self.beat(state=WorkerState.BUSY, runs=(run,))
        return (await self.now(task)).phase


@pytest.fixture(params=[-60, 60], ids=["behind", "ahead"])
async def skewed(
    request: pytest.FixtureRequest, world: World, serve: Serve, database_url: Callable[[str], str]
) -> AsyncIterator[Skewed]:
    async with serve([create(settings_of(database_url("scheduling")), world.outside)]) as running:
        skewed = Skewed(running, world)
        skewed.theirs = SkewedClock(world, timedelta(seconds=request.param))
        yield skewed


async def test_a_slot_is_given_once(skewed: Skewed) -> None:
    await skewed.beat()
    first = await skewed.submit()
    await skewed.submit("p2")
    await skewed.beat()
    assert [one.task_id for one in skewed.assignments] == [first.id]
    await skewed.move(first, Advance(1, Phase.GENERATING))
    await skewed.beat()
    assert len(skewed.assignments) == 1, "begun, and not named yet"


async def test_a_worker_that_came_back_with_nothing_in_hand_is_given_work(skewed: Skewed) -> None:
    """It was restarted before it heard of the first."""
    await skewed.beat()
    await skewed.submit()
    second = await skewed.submit("p2")
    await skewed.pass_time(seconds=4)
    await skewed.beat()
    assert skewed.assignments[-1].task_id == second.id


async def test_a_run_has_its_whole_time_and_no_more(skewed: Skewed) -> None:
    await skewed.beat()
    task = await skewed.submit(time_limit_seconds=60)
    await skewed.move(task, Advance(1, Phase.LOADING_MODEL))
    assert await skewed.run_for(task, seconds=20) is Phase.LOADING_MODEL
    await skewed.move(task, Advance(1, Phase.GENERATING))
    assert await skewed.run_for(task, seconds=40) is Phase.GENERATING
    assert await skewed.run_for(task, seconds=20) is Phase.FAILED
    found = await skewed.now(task)
    assert found.error is not None and found.error.code == "time-limit-exceeded"


async def test_saying_again_where_a_run_is_does_not_lengthen_it(skewed: Skewed) -> None:
    await skewed.beat()
    task = await skewed.submit(time_limit_seconds=60)
    await skewed.move(task, Advance(1, Phase.GENERATING))
    assert await skewed.run_for(task, seconds=40) is Phase.GENERATING
    again = (await skewed.now(task)).model_copy(update={"seq": 20})
    await skewed.hear(again)
    assert await skewed.run_for(task, seconds=40) is Phase.FAILED


async def test_a_lost_worker_is_noticed_when_its_lease_is_over(skewed: Skewed) -> None:
    await skewed.beat()
    task = await skewed.submit()
    await skewed.move(task, Advance(1, Phase.GENERATING))
    assert await skewed.run_for(task, seconds=60) is Phase.GENERATING
    await skewed.pass_time(seconds=26)
    assert (await skewed.now(task)).phase is Phase.GENERATING
    await skewed.pass_time(seconds=5)
    assert (await skewed.now(task)).phase is Phase.RETRY_WAIT


async def test_a_backoff_is_as_long_as_it_was_meant(skewed: Skewed) -> None:
    await skewed.beat()
    task = await skewed.submit()
    await skewed.move(task, Advance(1, Phase.GENERATING))
    await skewed.move(task, RetryLater(1, a_problem(), skewed.theirs.now() + timedelta(seconds=6)))
    await skewed.pass_time(seconds=5)
    await skewed.beat()
    assert len(skewed.assignments) == 1, "not before its time"
    await skewed.pass_time(seconds=1)
    assert [one.attempt for one in skewed.assignments] == [1, 2], "and by itself when it has come"


async def test_an_assignment_not_begun_is_taken_back_in_time(skewed: Skewed) -> None:
    await skewed.beat()
    task = await skewed.submit()
    await skewed.pass_time(seconds=14)
    assert (await skewed.now(task)).attempt == 1
    await skewed.pass_time(seconds=2)
    assert (await skewed.now(task)).attempt == 2


async def test_ageing_counts_from_when_a_task_was_heard_of(skewed: Skewed) -> None:
    """Low priority rises after ten minutes of waiting; a fresh task of medium priority is then no longer before it."""
    old = await skewed.submit(priority="low")
    await skewed.pass_time(minutes=10)
    await skewed.submit("p2", priority="medium")
    await skewed.beat()
    assert skewed.assignments[0].task_id == old.id
