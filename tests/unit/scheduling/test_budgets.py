"""Budgets before dispatch: what may start, what waits, and whom that concerns."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest
from contracts.budgets import Budget, Per, Spending
from contracts.identifiers import task_id_for
from contracts.records import project_records, spending_records
from contracts.tasks import Phase, Produce, Task
from contracts.testing.examples import NOON, produced_media
from hypothesis import given
from hypothesis import strategies as st
from scheduling.app import create
from scheduling.domain.budgets import still_uncharged
from scheduling.domain.matching import FreeWorker, match
from scheduling.domain.riding import Waiting

from tests.conftest import Serve, World
from tests.unit.scheduling.driving import Scheduling, settings_of
from tests.unit.scheduling.test_matching import AGEING, HIGH, LOW, tasks_strategy, waiting, worker, workers_strategy

RUN = 1.0
"""The catalog's `run_seconds` of the tests' model."""
STEP = timedelta(seconds=6)
"""Longer than what operators say of projects is remembered."""


def started(tasks: list[Waiting], free: list[FreeWorker], room: dict[str, float]) -> list[str]:
    return [pairing.task_id for pairing in match(tasks, free, {}, NOON, AGEING, room)]


class TestMatching:
    def test_what_fits_starts_to_the_last_second(self) -> None:
        tasks = [waiting(f"t{n}", run=10, age=9 - n) for n in range(5)]
        assert started(tasks, [worker(slots=5)], {"p": 30.0}) == ["t0", "t1", "t2"]
        assert started(tasks, [worker(slots=5)], {"p": 29.9}) == ["t0", "t1"]
        assert started(tasks, [worker(slots=5)], {"p": 0.0}) == started(tasks, [worker(slots=5)], {"p": -50.0}) == []

    def test_a_small_task_may_use_what_is_too_little_for_a_large_one(self) -> None:
        tasks = [waiting("large", run=100, age=9), waiting("small", model="n", run=5)]
        assert started(tasks, [worker(slots=2)], {"p": 50.0}) == ["small"]

    def test_who_goes_along_is_counted_too(self) -> None:
        tasks = [waiting(f"t{n}", run=10, age=9 - n, alike="x", most=8) for n in range(5)]
        assert started(tasks, [worker()], {"p": 30.0}) == ["t0", "t1", "t2"]

    def test_what_waits_for_its_budget_keeps_nobody_from_going_along(self) -> None:
        crowd = [waiting(f"b{n}", "b", rank=LOW, alike="x", most=8) for n in range(3)]
        urgent = waiting("a", "a", rank=HIGH, run=10)
        assert len(started([*crowd, urgent], [worker(warm="m")], {"a": 5.0})) == 3

    def test_what_waits_for_its_budget_does_not_rise_above_others(self) -> None:
        old = waiting("old", "a", rank=LOW, age=100_000)
        fresh = waiting("fresh", "b", age=1)
        assert started([old, fresh], [worker(slots=2)], {}) == ["old", "fresh"]
        new_month = Waiting(**{**vars(old), "ages_from": NOON - timedelta(seconds=2)})
        assert started([new_month, fresh], [worker(slots=2)], {}) == ["fresh", "old"]

    @given(tasks_strategy, workers_strategy, st.dictionaries(st.sampled_from("abc"), st.floats(-100, 3000)))
    def test_no_room_is_exceeded(self, tasks: list[Waiting], free: list[FreeWorker], room: dict[str, float]) -> None:
        by_id = {task.task_id: task for task in tasks}
        for pairing in match(tasks, free, {}, NOON, AGEING, room):
            task = by_id[pairing.task_id]
            if task.project_id in room:
                room[task.project_id] -= task.run_seconds
                assert room[task.project_id] >= 0

    @given(tasks_strategy, workers_strategy, st.sampled_from("abc"), st.floats(-100, 0))
    def test_a_project_that_has_spent_its_budget_might_as_well_not_be_there(
        self, tasks: list[Waiting], free: list[FreeWorker], spent: str, room: float
    ) -> None:
        others = [task for task in tasks if task.project_id != spent]
        assert match(tasks, free, {}, NOON, AGEING, {spent: room}) == match(others, free, {}, NOON, AGEING)

    @given(tasks_strategy, workers_strategy)
    def test_with_room_enough_nothing_is_different(self, tasks: list[Waiting], free: list[FreeWorker]) -> None:
        enough = {project: sum(task.run_seconds for task in tasks) + 1 for project in "abc"}
        assert match(tasks, free, {}, NOON, AGEING, enough) == match(tasks, free, {}, NOON, AGEING)


def test_a_run_counts_until_its_phases_are_charged() -> None:
    now = NOON + timedelta(seconds=50)
    assert still_uncharged(Phase.ASSIGNED, NOON, 30, now) == 30
    assert still_uncharged(Phase.GENERATING, NOON, 80, now) == 80
    assert still_uncharged(Phase.GENERATING, NOON, 30, now) == 50, "it takes longer than was thought"
    assert still_uncharged(Phase.ENCODING, NOON, 30, now) == 50, "what it generated has been charged"
    assert still_uncharged(Phase.LOADING_MODEL, now, 30, NOON) == 30, "whatever the clocks say"


@pytest.fixture
async def scheduling(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Scheduling]:
    world.clock.advance(days=30, hours=11)  # an hour before February
    for project_id in ("p1", "p2"):
        await world.add_project(project_id, f"key-{project_id}")
    async with serve([create(settings_of(database_url("scheduling")), world.outside)]) as running:
        yield Scheduling(running, world)


async def set_budget(scheduling: Scheduling, seconds: float | None, per: Per = Per.MONTH) -> None:
    budget = Budget(gpu_seconds=seconds, per=per) if seconds is not None else None
    changed = {"budget": budget, "budget_since": scheduling.world.clock.now()}
    await project_records(scheduling.world.state).change("p1", lambda project: project.model_copy(update=changed))
    scheduling.world.clock.advance(seconds=STEP.total_seconds())


async def accept(scheduling: Scheduling, name: str, project_id: str = "p1") -> Task:
    """What has failed before runs alone, so that the worker's slots are all there is."""
    now = scheduling.world.clock.advance(milliseconds=1)
    return await scheduling.accept(id=task_id_for(project_id, name), project_id=project_id, created_at=now, failures=1)


async def run(scheduling: Scheduling, task: Task, seconds: float) -> None:
    await scheduling.generate(task)
    scheduling.world.clock.advance(seconds=seconds)
    now = scheduling.world.clock.now()
    stored = await scheduling.tasks.change(task.id, lambda found: Produce(found.attempt, produced_media(found), now))
    await scheduling.hear(stored)


async def phases(scheduling: Scheduling, *tasks: Task) -> list[Phase]:
    return [(await scheduling.now(task)).phase for task in tasks]


async def test_what_does_not_fit_waits_and_other_projects_do_not(scheduling: Scheduling) -> None:
    await set_budget(scheduling, 2 * RUN)
    own = [await accept(scheduling, f"{n}") for n in range(3)]
    other = await accept(scheduling, "other", "p2")
    await scheduling.heartbeat(slots=9)
    assert await phases(scheduling, *own, other) == [Phase.ASSIGNED, Phase.ASSIGNED, Phase.QUEUED, Phase.ASSIGNED]


async def test_a_run_that_was_shorter_than_thought_leaves_room(scheduling: Scheduling) -> None:
    await set_budget(scheduling, 1.5 * RUN)
    first, second = await accept(scheduling, "1"), await accept(scheduling, "2")
    await scheduling.heartbeat(slots=9)
    await run(scheduling, first, 0.4)
    await scheduling.heartbeat(slots=9)
    assert await phases(scheduling, second) == [Phase.ASSIGNED]


async def test_a_budget_lowered_under_what_runs_stops_nothing_and_starts_nothing(scheduling: Scheduling) -> None:
    first, second = await accept(scheduling, "1"), await accept(scheduling, "2")
    await scheduling.heartbeat(slots=1)
    await scheduling.generate(first)
    await set_budget(scheduling, RUN / 2)
    await scheduling.heartbeat(slots=9)
    assert await phases(scheduling, first, second) == [Phase.GENERATING, Phase.QUEUED]
    await run(scheduling, first, 1)
    await scheduling.pass_time(minutes=20)
    await scheduling.heartbeat(slots=9)
    assert await phases(scheduling, first, second) == [Phase.STORING, Phase.QUEUED]


async def test_a_raised_budget_has_them_start_with_the_next_heartbeat(scheduling: Scheduling) -> None:
    await set_budget(scheduling, RUN / 2)
    task = await accept(scheduling, "1")
    await scheduling.heartbeat()
    assert await phases(scheduling, task) == [Phase.QUEUED]
    await set_budget(scheduling, 5 * RUN)
    await scheduling.heartbeat()
    assert await phases(scheduling, task) == [Phase.ASSIGNED]


@pytest.mark.parametrize(("per", "then"), [(Per.MONTH, Phase.ASSIGNED), (Per.TOTAL, Phase.QUEUED)])
async def test_a_new_month_has_them_start_by_themselves(scheduling: Scheduling, per: Per, then: Phase) -> None:
    await set_budget(scheduling, 1.5 * RUN, per)
    first, second = await accept(scheduling, "1"), await accept(scheduling, "2")
    await scheduling.heartbeat(slots=1)
    await run(scheduling, first, 3)
    await scheduling.heartbeat()
    assert await phases(scheduling, second) == [Phase.QUEUED]
    scheduling.world.clock.advance(hours=1)
    await scheduling.heartbeat()
    assert await phases(scheduling, second) == [then]


async def test_budgets_hold_over_all_media(scheduling: Scheduling) -> None:
    await set_budget(scheduling, 2 * RUN)
    image = await accept(scheduling, "image")
    video = await scheduling.accept(id=task_id_for("p1", "video"), medium="video", model="tiny-video")
    await scheduling.heartbeat()
    await scheduling.heartbeat(worker_id="worker-2", medium="video", models=("tiny-video",), warm_models=())
    assert await phases(scheduling, image, video) == [Phase.ASSIGNED, Phase.QUEUED]


async def test_what_was_spent_is_written_down_for_others(scheduling: Scheduling) -> None:
    task = await accept(scheduling, "1")
    await scheduling.heartbeat()
    await run(scheduling, task, 3)
    month = datetime(2026, 1, 1, tzinfo=UTC)
    written = await spending_records(scheduling.world.state).get("p1")
    assert written == Spending(month=month, in_month=3, in_all=3)


async def test_who_dies_before_writing_it_down_is_followed_by_who_does(
    world: World, serve: Serve, database_url: Callable[[str], str]
) -> None:
    settings = settings_of(database_url("scheduling"))
    async with serve([create(settings, world.outside)]) as running:
        scheduling = Scheduling(running, world)
        task = await accept(scheduling, "1")
        await scheduling.heartbeat()
        await run(scheduling, task, 3)
    key = "spending:p1"
    found = await world.state.get(key)
    assert found is not None
    await world.state.delete(key, found.etag)
    async with serve([create(settings, world.outside)]) as running:
        await Scheduling(running, world).pass_time(seconds=1)
        assert (await world.state.get(key)) is not None
