"""Scheduling as a whole over fakes: from what it hears to what it says."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest
from contracts.errors import Problem
from contracts.events import task_changed
from contracts.identifiers import task_id_for
from contracts.tasks import Complete, Fail, Phase, Produce, RequestCancel, Resubmit, RetryLater, TakeBack, Task
from contracts.testing.examples import NOON, a_problem, a_task, media_result, produced_media
from contracts.topics import App
from contracts.workers import Device, Run, WorkerState
from scheduling.app import create

from tests.conftest import Serve, World
from tests.unit.scheduling.driving import Scheduling, settings_of

Start = Callable[[], AbstractAsyncContextManager[Scheduling]]


@pytest.fixture
def start(world: World, serve: Serve, database_url: Callable[[str], str]) -> Start:
    """A replica; started again, it finds what the one before has kept."""
    settings = settings_of(database_url("scheduling"))

    @asynccontextmanager
    async def start() -> AsyncIterator[Scheduling]:
        async with serve([create(settings, world.outside)]) as running:
            yield Scheduling(running, world)

    return start


@pytest.fixture
async def scheduling(start: Start) -> AsyncIterator[Scheduling]:
    async with start() as scheduling:
        yield scheduling


async def test_a_waiting_task_goes_to_a_worker_that_comes_free(scheduling: Scheduling) -> None:
    task = await scheduling.accept()
    assert scheduling.assignments == []
    await scheduling.heartbeat()
    [assigned] = scheduling.assignments
    assert (assigned.worker_id, assigned.task_id, assigned.attempt) == ("worker-1", task.id, 1)
    found = await scheduling.now(task)
    assert (found.phase, found.worker_id, found.attempt) == (Phase.ASSIGNED, "worker-1", 1)
    assert scheduling.announced() == ["task.assigned.v1", "task.assignment.v1"]


async def test_a_free_worker_gets_a_task_that_comes(scheduling: Scheduling) -> None:
    await scheduling.heartbeat()
    await scheduling.accept()
    assert len(scheduling.assignments) == 1


async def test_a_slot_is_given_once_although_the_worker_has_not_noticed_yet(scheduling: Scheduling) -> None:
    await scheduling.heartbeat()
    await scheduling.accept()
    await scheduling.accept(id=a_task(project_id="p2").id, project_id="p2")
    await scheduling.heartbeat()
    assert len(scheduling.assignments) == 1


@pytest.mark.parametrize("state", [WorkerState.STARTING, WorkerState.DRAINING, WorkerState.UNHEALTHY])
async def test_a_worker_that_takes_no_work_gets_none(scheduling: Scheduling, state: WorkerState) -> None:
    await scheduling.accept()
    await scheduling.heartbeat(state=state)
    assert scheduling.assignments == []


async def test_a_silent_worker_gets_nothing(scheduling: Scheduling) -> None:
    await scheduling.heartbeat()
    await scheduling.pass_time(seconds=31)
    await scheduling.accept()
    assert scheduling.assignments == []


async def test_an_assignment_not_begun_is_taken_back_without_blame(scheduling: Scheduling) -> None:
    await scheduling.heartbeat()
    task = await scheduling.accept()
    await scheduling.pass_time(seconds=16)
    found = await scheduling.now(task)
    assert (found.attempt, found.failures) == (2, 0), "taken back, and given again to the worker still heard of"
    assert [assigned.attempt for assigned in scheduling.assignments] == [1, 2]


async def test_heartbeats_renew_the_lease(scheduling: Scheduling) -> None:
    task = await scheduling.generating()
    run = Run(task_id=task.id, attempt=1, phase=Phase.GENERATING, on_device=True)
    for _ in range(8):
        await scheduling.pass_time(seconds=20)
        await scheduling.heartbeat(state=WorkerState.BUSY, runs=(run,))
    assert (await scheduling.now(task)).phase is Phase.GENERATING


async def test_a_lost_worker_costs_an_attempt_and_another_takes_over(scheduling: Scheduling) -> None:
    task = await scheduling.generating()
    await scheduling.pass_time(seconds=31)
    found = await scheduling.now(task)
    assert (found.phase, found.failures) == (Phase.RETRY_WAIT, 1)
    assert found.error is not None and found.error.code == "worker-lost"
    await scheduling.heartbeat(worker_id="worker-2")
    assert len(scheduling.assignments) == 1, "not before its time"
    await scheduling.pass_time(seconds=3)
    await scheduling.heartbeat(worker_id="worker-2")
    assert [assigned.worker_id for assigned in scheduling.assignments] == ["worker-1", "worker-2"]


async def test_a_run_beyond_its_time_limit_fails_however_lively_its_worker(scheduling: Scheduling) -> None:
    task = await scheduling.generating(time_limit_seconds=60)
    run = Run(task_id=task.id, attempt=1, phase=Phase.GENERATING, on_device=True)
    for _ in range(8):
        await scheduling.pass_time(seconds=10)
        await scheduling.heartbeat(state=WorkerState.BUSY, runs=(run,))
    found = await scheduling.now(task)
    assert (found.phase, found.error and found.error.code) == (Phase.FAILED, "time-limit-exceeded")
    assert "task.cancel-requested.v1" in scheduling.announced()


async def test_a_cancelled_run_of_a_lost_worker_is_cancelled(scheduling: Scheduling) -> None:
    task = await scheduling.generating()
    await scheduling.tasks.change(task.id, lambda found: RequestCancel())
    await scheduling.pass_time(seconds=31)
    assert (await scheduling.now(task)).phase is Phase.CANCELLED


async def test_what_nobody_starts_in_time_expires(scheduling: Scheduling) -> None:
    task = await scheduling.accept(expires_at=NOON + timedelta(minutes=1))
    await scheduling.pass_time(seconds=61)
    assert (await scheduling.now(task)).phase is Phase.EXPIRED
    assert "task.expired.v1" in scheduling.announced()


async def test_what_was_handed_back_while_nobody_listened_is_given_out_at_once(world: World, start: Start) -> None:
    async with start() as before:
        task = await before.generating()
    await before.tasks.change(task.id, lambda found: TakeBack(1))
    world.clock.advance(seconds=5)
    async with start() as after:
        await after.pass_time(seconds=1)
        await after.heartbeat()
        assert [(one.task_id, one.attempt) for one in after.assignments] == [(task.id, 1), (task.id, 2)]


async def test_what_was_to_be_stored_when_everything_went_down_is_announced_at_once(world: World, start: Start) -> None:
    async with start() as before:
        task = await before.generating()
        produce = Produce(1, produced_media(task), NOON)
        await before.hear(await before.tasks.change(task.id, lambda found: produce))
        before.announced()
    world.clock.advance(seconds=5)
    async with start() as after:
        await after.pass_time(seconds=1)
        assert after.announced() == ["media.produced.v1"]


async def test_what_is_to_be_stored_is_announced_until_everybody_has_heard_it(world: World, start: Start) -> None:
    """A broker that forgets, forgets what is announced before daprd has subscribed to it, as at a start."""
    async with start() as before:
        task = await before.generating()
        produce = Produce(1, produced_media(task), NOON)
        produced = await before.tasks.change(task.id, lambda found: produce)
        before.announced()
    async with start() as after:
        await after.pass_time(seconds=1)
        while_nobody_listens = after.announced()
        await after.pass_time(seconds=11)
        assert while_nobody_listens == after.announced() == ["media.produced.v1"]
        assert await after.running.deliver(task_changed(produced, App.SCHEDULING)) == "SUCCESS"
        await after.pass_time(minutes=4)
        assert after.announced() == [], "storage is at it"


async def test_an_end_is_not_put_off_by_late_news_of_what_was_before_it(scheduling: Scheduling) -> None:
    task = await scheduling.generating()
    produce, complete = Produce(1, produced_media(task), NOON), Complete(1, media_result(task))
    produced = await scheduling.tasks.change(task.id, lambda found: produce)
    done = await scheduling.tasks.change(task.id, lambda found: complete)
    await scheduling.pass_time(seconds=31)
    assert await scheduling.running.deliver(task_changed(produced, App.SCHEDULING)) == "SUCCESS"
    scheduling.announced()
    await scheduling.pass_time(seconds=11)
    assert scheduling.announced() == ["task.done.v1"]
    await scheduling.hear(done)


async def test_an_end_heard_late_does_not_forget_a_task_that_was_sent_round_again(scheduling: Scheduling) -> None:
    task = await scheduling.accept()
    ended = await scheduling.tasks.change(task.id, lambda found: RequestCancel())
    await scheduling.hear(ended)
    again = await scheduling.tasks.change(task.id, lambda found: Resubmit())
    await scheduling.hear(again)
    await scheduling.hear(ended)
    await scheduling.heartbeat()
    assert [assigned.task_id for assigned in scheduling.assignments] == [task.id]


async def test_tasks_that_no_worker_can_run_do_not_hide_those_behind_them(scheduling: Scheduling) -> None:
    for number in range(20):
        await scheduling.accept(id=task_id_for("p1", str(number)), model="flux-schnell")
    runnable = await scheduling.accept()
    await scheduling.heartbeat()
    assert [assigned.task_id for assigned in scheduling.assignments] == [runnable.id]


async def test_an_end_nobody_heard_of_is_announced_again(scheduling: Scheduling) -> None:
    task = await scheduling.generating()
    failed = await scheduling.tasks.change(task.id, lambda found: Fail(1, a_problem(retryable=False)))
    scheduling.announced()
    for _ in range(2):
        await scheduling.pass_time(seconds=31)
        assert scheduling.announced() == ["task.failed.v1"]
    await scheduling.hear(failed)
    await scheduling.pass_time(hours=1)
    assert scheduling.announced() == []


async def test_media_nobody_stored_are_announced_again(scheduling: Scheduling) -> None:
    task = await scheduling.generating()
    produce = Produce(1, produced_media(task), NOON)
    await scheduling.hear(await scheduling.tasks.change(task.id, lambda found: produce))
    scheduling.announced()
    await scheduling.pass_time(minutes=6)
    assert scheduling.announced() == ["media.produced.v1"]


async def test_a_task_cancelled_unheard_is_not_given_away(scheduling: Scheduling) -> None:
    task = await scheduling.accept()
    await scheduling.tasks.change(task.id, lambda found: RequestCancel())
    await scheduling.heartbeat()
    assert scheduling.assignments == []
    assert (await scheduling.now(task)).phase is Phase.CANCELLED


async def test_late_news_do_not_bring_an_ended_task_back(scheduling: Scheduling) -> None:
    await scheduling.heartbeat()
    task = await scheduling.accept()
    cancelled = await scheduling.tasks.change(task.id, lambda found: RequestCancel())
    await scheduling.hear(cancelled)
    await scheduling.hear(task)
    await scheduling.heartbeat()
    assert len(scheduling.assignments) == 1
    assert (await scheduling.now(task)).phase is Phase.CANCELLED


async def test_a_lie_on_the_bus_does_not_keep_others_from_the_worker(scheduling: Scheduling) -> None:
    liar = a_task(created_at=NOON - timedelta(hours=1))
    await scheduling.tasks.create(liar)
    await scheduling.tasks.change(liar.id, lambda found: RequestCancel())
    await scheduling.hear(liar.model_copy(update={"seq": 999}))
    honest = await scheduling.accept(id=a_task(project_id="p2").id, project_id="p2")
    await scheduling.heartbeat()
    assert [assigned.task_id for assigned in scheduling.assignments] == [honest.id]


async def test_a_worker_that_has_begun_is_not_given_more_although_it_has_not_said_so(scheduling: Scheduling) -> None:
    await scheduling.heartbeat()
    first = await scheduling.accept()
    await scheduling.accept(id=a_task(project_id="p2").id, project_id="p2")
    await scheduling.generate(first)
    await scheduling.heartbeat()
    assert len(scheduling.assignments) == 1


async def test_a_worker_that_encodes_is_given_the_next(scheduling: Scheduling) -> None:
    await scheduling.heartbeat()
    first = await scheduling.accept()
    second = await scheduling.accept(id=a_task(project_id="p2").id, project_id="p2")
    await scheduling.generate(first)
    encoding = Run(task_id=first.id, attempt=1, phase=Phase.ENCODING, on_device=False)
    await scheduling.heartbeat(runs=(encoding,))
    assert [assigned.task_id for assigned in scheduling.assignments] == [first.id, second.id]


async def test_a_worker_that_came_back_with_nothing_in_hand_is_given_work(scheduling: Scheduling) -> None:
    """It was restarted; what it had is left to the lease."""
    await scheduling.generating()
    second = await scheduling.accept(id=a_task(project_id="p2").id, project_id="p2")
    await scheduling.pass_time(seconds=4)
    await scheduling.heartbeat()
    assert scheduling.assignments[-1].task_id == second.id


async def test_leases_outlive_a_restart_of_scheduling(world: World, start: Start) -> None:
    async with start() as before:
        task = await before.generating()
    world.clock.advance(minutes=2)
    async with start() as after:
        await after.pass_time(seconds=20)
        assert (await after.now(task)).phase is Phase.GENERATING
        await after.pass_time(seconds=11)
        assert (await after.now(task)).phase is Phase.RETRY_WAIT


async def test_fair_shares_follow_gpu_seconds(scheduling: Scheduling) -> None:
    """The project that has just used the GPU waits behind the one that has not."""
    first = await scheduling.generating()
    scheduling.world.clock.advance(seconds=50)
    produce = Produce(1, produced_media(first), scheduling.world.clock.now())
    await scheduling.accept(id=a_task(project_id="p1x").id, tags=("again",))
    modest = await scheduling.accept(id=a_task(project_id="p2").id, project_id="p2")
    await scheduling.hear(await scheduling.tasks.change(first.id, lambda found: produce))
    await scheduling.heartbeat()
    assert scheduling.assignments[1].task_id == modest.id


async def test_alike_tasks_are_given_together_each_as_an_attempt_of_its_own(scheduling: Scheduling) -> None:
    earlier = NOON - timedelta(seconds=1)
    tasks = [
        await scheduling.accept(id=task_id_for("p1", f"{n}"), params={"prompt": f"{n}"}, created_at=earlier)
        for n in range(3)
    ]
    other = await scheduling.accept(id=task_id_for("p1", "other"), params={"prompt": "other", "steps": 9})
    await scheduling.heartbeat()
    given = scheduling.assignments
    assert {one.task_id for one in given} == {task.id for task in tasks}
    assert {(one.batch, one.together) for one in given} == {(f"{given[0].task_id}:1", 3)}
    assert [(found.phase, found.attempt) for task in tasks if (found := await scheduling.now(task))] == [
        (Phase.ASSIGNED, 1)
    ] * 3
    assert (await scheduling.now(other)).phase is Phase.QUEUED
    await scheduling.heartbeat()
    assert len(scheduling.assignments) == 3, "a worker that holds a batch is busy"


async def test_what_was_moved_meanwhile_does_not_keep_the_others_from_going_together(scheduling: Scheduling) -> None:
    tasks = [await scheduling.accept(id=task_id_for("p1", f"{n}"), params={"prompt": f"{n}"}) for n in range(3)]
    await scheduling.tasks.change(tasks[1].id, lambda found: RequestCancel())
    await scheduling.heartbeat()
    assert {one.task_id for one in scheduling.assignments} == {tasks[0].id, tasks[2].id}


async def test_a_task_that_finds_a_free_worker_waits_for_no_others(scheduling: Scheduling) -> None:
    await scheduling.heartbeat()
    await scheduling.accept()
    assert [(one.batch, one.together) for one in scheduling.assignments] == [(None, 1)]


async def test_of_a_batch_of_which_one_is_never_begun_the_others_go_on(scheduling: Scheduling) -> None:
    first, second = [await scheduling.accept(id=task_id_for("p1", n), params={"prompt": n}) for n in "ab"]
    await scheduling.heartbeat()
    await scheduling.generate(first)
    run = Run(task_id=first.id, attempt=1, phase=Phase.GENERATING, on_device=True)
    await scheduling.pass_time(seconds=10)
    await scheduling.heartbeat(state=WorkerState.BUSY, runs=(run,))
    await scheduling.pass_time(seconds=6)
    await scheduling.heartbeat(state=WorkerState.BUSY, runs=(run,))
    assert (await scheduling.now(first)).phase is Phase.GENERATING
    found = await scheduling.now(second)
    assert (found.phase, found.failures) == (Phase.QUEUED, 0)
    await scheduling.heartbeat(worker_id="worker-2")
    assert (scheduling.assignments[-1].task_id, scheduling.assignments[-1].together) == (second.id, 1)


async def test_what_has_failed_goes_with_nobody(scheduling: Scheduling) -> None:
    first = await scheduling.generating(created_at=NOON - timedelta(seconds=1))
    for n in "ab":
        await scheduling.accept(id=task_id_for("p1", n), params={"prompt": n})
    await scheduling.pass_time(seconds=31)
    await scheduling.pass_time(seconds=3)
    await scheduling.heartbeat(worker_id="worker-2")
    assert [(one.task_id, one.together) for one in scheduling.assignments[1:]] == [(first.id, 1)]


async def out_of_memory(scheduling: Scheduling, task: Task, device_mb: int) -> None:
    """The attempt fails because its worker's device is too small, and it is time for the next."""
    problem = Problem.of("gpu-out-of-memory", "Not enough GPU memory", "tried to allocate 2 GB", retryable=True)
    later = RetryLater(task.attempt, problem, scheduling.world.clock.now() + timedelta(seconds=1), device_mb)
    await scheduling.hear(await scheduling.tasks.change(task.id, lambda _found: later))
    await scheduling.pass_time(seconds=2)


async def test_what_did_not_fit_goes_to_a_worker_with_more_memory(scheduling: Scheduling) -> None:
    small = Device(name="small", kind="cuda", vram_total_mb=16_000)
    large = Device(name="large", kind="cuda", vram_total_mb=80_000)
    await scheduling.heartbeat(device=small)
    task = await scheduling.accept()
    await scheduling.heartbeat(worker_id="worker-2", device=large, slots=0)
    await out_of_memory(scheduling, await scheduling.now(task), 16_000)
    await scheduling.heartbeat(device=small)
    assert len(scheduling.assignments) == 1, "the small one would fail again"
    await scheduling.heartbeat(worker_id="worker-2", device=large)
    assert [given.worker_id for given in scheduling.assignments] == ["worker-1", "worker-2"]


async def test_what_did_not_fit_the_largest_there_is_is_tried_where_there_is_room(scheduling: Scheduling) -> None:
    only = Device(name="only", kind="cuda", vram_total_mb=16_000)
    await scheduling.heartbeat(device=only)
    task = await scheduling.accept()
    await out_of_memory(scheduling, await scheduling.now(task), 16_000)
    await scheduling.heartbeat(device=only)
    assert [given.worker_id for given in scheduling.assignments] == ["worker-1", "worker-1"]
