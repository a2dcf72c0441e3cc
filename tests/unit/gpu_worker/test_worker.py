"""The worker over fakes: from what it is given to what it says, whatever the engine does."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import stamina
from contracts.catalog import read_catalog
from contracts.events import (
    CancelRequested,
    TaskProgressed,
    cancel_requested,
    parse,
    worker_heartbeat,
)
from contracts.ports import Versioned
from contracts.records import media_records
from contracts.tasks import Assign, Phase, RequestCancel, RetryLater, Status, Task
from contracts.testing.examples import NOON, a_problem, a_task, media_result
from contracts.workers import WorkerState
from gpu_worker.testing import PNG, failing, instantly, until_killed
from structlog.testing import capture_logs

from tests.conftest import World, until
from tests.unit.gpu_worker.driving import WORKER, Start, finish, step_by_step


async def test_runs_what_it_is_given_to_staging(start: Start) -> None:
    async with start() as worker:
        task = await worker.assign()
        found = await worker.reaches(task, Phase.STORING)
        assert found.produced is not None
        assert found.produced.key == f"staging/{task.id}/1/output.png"
        assert b"".join([chunk async for chunk in worker.world.objects.read(found.produced.key)]) == PNG
        assert found.produced.provenance.params == task.params
        assert found.produced.provenance.worker_id == WORKER
        await worker.is_idle()
        assert worker.lifecycle() == ["task.processing.v1", "task.processing.v1", "media.produced.v1"]
        assert (worker.heartbeats[-1].completed, worker.heartbeats[-1].failed) == (1, 0)


async def test_a_warm_model_skips_loading(start: Start) -> None:
    async with start() as worker:
        worker.engine.warm_models = ("tiny-image",)
        found = await worker.reaches(await worker.assign(), Phase.STORING)
        assert Phase.LOADING_MODEL not in found.phase_seconds


async def test_only_what_it_can_run_is_said_to_be_warm(start: Start) -> None:
    async with start() as worker:
        worker.engine.warm_models = ("tiny-image", "mux")
        count = len(worker.heartbeats)
        await worker.hear_itself()
        await until(lambda: len(worker.heartbeats) > count)
        assert worker.heartbeats[-1].warm_models == ("tiny-image",)


async def test_takes_nothing_before_it_has_heard_itself(start: Start) -> None:
    async with start() as worker:
        await until(lambda: bool(worker.heartbeats))
        assert worker.heartbeats[-1].state is WorkerState.STARTING
        await worker.hear_itself()
        await until(lambda: worker.heartbeats[-1].state is WorkerState.READY)
        assert worker.heartbeats[-1].models == ("tiny-image", "tiny-image-edit")


async def test_does_not_take_an_earlier_life_for_itself(start: Start) -> None:
    async with start() as worker:
        await until(lambda: bool(worker.heartbeats))
        earlier = worker.heartbeats[-1].model_copy(update={"started_at": NOON - timedelta(hours=1)})
        await worker.running.deliver(worker_heartbeat(earlier, "gpu-worker-image"))
        assert worker.heartbeats[-1].state is WorkerState.STARTING


async def test_leaves_what_is_for_others(start: Start) -> None:
    async with start() as worker:
        task = await worker.assign(worker_id="gpu-worker-image-other")
        assert worker.engine.jobs == []
        assert (await worker.now(task)).phase is Phase.ASSIGNED


async def test_an_assignment_delivered_twice_is_run_once(start: Start) -> None:
    async with start(until_killed) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        await worker.deliver_assignment(task)
        await worker.deliver_assignment(task)
        assert len(worker.engine.jobs) == 1
        worker.engine.replace()


async def test_an_assignment_that_is_over_is_not_begun(start: Start) -> None:
    async with start() as worker:
        task = a_task()
        await worker.tasks.create(task)
        assigned = await worker.tasks.change(task.id, lambda _found: Assign(WORKER, NOON))
        await worker.tasks.change(task.id, lambda _found: RequestCancel())
        await worker.deliver_assignment(assigned)
        await worker.is_idle()
        assert worker.engine.jobs == []


async def test_a_cancel_stops_the_run_at_its_next_step(start: Start) -> None:
    async with start(step_by_step) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        await worker.cancel(task)
        found = await worker.reaches(task, Phase.CANCELLED)
        assert found.status is Status.CANCELLED
        assert worker.lifecycle()[-1] == "task.cancelled.v1"


async def test_a_stop_that_nobody_asked_for_gives_the_task_back(start: Start) -> None:
    """The control event was forged, or came from a watchdog that has changed its mind."""
    async with start(step_by_step) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        cancel = CancelRequested(task_id=task.id, attempt=task.attempt)
        await worker.running.deliver(cancel_requested(cancel, "submission", NOON))
        found = await worker.reaches(task, Phase.QUEUED)
        assert (found.failures, found.cancel_requested) == (0, False)


async def test_a_run_that_does_not_stop_is_killed(start: Start) -> None:
    async with start(until_killed, worker_stop_within=timedelta(seconds=0.01)) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        await worker.cancel(task)
        assert (await worker.reaches(task, Phase.CANCELLED)).failures == 0
        assert worker.engine.replacements == 1


async def test_a_cancel_nobody_broadcast_is_seen_in_the_record(start: Start) -> None:
    async with start(step_by_step) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        await worker.tasks.change(task.id, lambda _found: RequestCancel())
        while (await worker.now(task)).phase is Phase.GENERATING:
            worker.world.clock.advance(seconds=1)
            await asyncio.sleep(0.002)
        assert (await worker.now(task)).phase is Phase.CANCELLED


async def test_a_run_beyond_its_time_limit_is_killed_and_fails_for_good(start: Start) -> None:
    async with start(until_killed) as worker:
        task = await worker.assign(time_limit_seconds=0.02)
        found = await worker.reaches(task, Phase.FAILED)
        assert found.error is not None
        assert (found.error.code, found.error.retryable) == ("time-limit-exceeded", False)
        assert worker.engine.replacements == 1


@pytest.mark.parametrize(("retryable", "phase"), [(True, Phase.RETRY_WAIT), (False, Phase.FAILED)])
async def test_a_failure_says_again_or_never(start: Start, retryable: bool, phase: Phase) -> None:
    async with start(failing(a_problem(retryable))) as worker:
        found = await worker.reaches(await worker.assign(), Phase.RETRY_WAIT, Phase.FAILED)
        assert found.phase is phase
        assert found.error == a_problem(retryable)


async def test_an_input_that_is_gone_fails_for_good_before_anything_is_generated(start: Start) -> None:
    async with start() as worker:
        missing = media_result(a_task()).id
        found = await worker.reaches(
            await worker.assign(model="tiny-image-edit", inputs={"image": missing}), Phase.FAILED, Phase.STORING
        )
        assert found.phase is Phase.FAILED
        assert worker.engine.jobs == []


async def test_another_projects_media_is_no_input_even_if_the_record_says_so(start: Start) -> None:
    async with start() as worker:
        foreign = media_result(a_task(project_id="p2"))
        await media_records(worker.world.state).create(foreign.id, foreign)
        await worker.world.objects.put(foreign.key, PNG)
        task = await worker.assign(model="tiny-image-edit", inputs={"image": foreign.id})
        assert (await worker.reaches(task, Phase.FAILED, Phase.STORING)).phase is Phase.FAILED
        assert worker.engine.jobs == []


async def test_inputs_are_handed_to_the_engine_as_files(start: Start) -> None:
    async with start() as worker:
        own = media_result(a_task())
        await media_records(worker.world.state).create(own.id, own)
        await worker.world.objects.put(own.key, PNG)
        await worker.reaches(await worker.assign(model="tiny-image-edit", inputs={"image": own.id}), Phase.STORING)
        assert list(worker.engine.jobs[0].inputs) == ["image"]


async def test_a_zombie_is_refused_and_leaves_nothing_behind(start: Start) -> None:
    """Its lease ran out while it generated, and the task was given to another worker."""
    async with start(step_by_step) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        await worker.tasks.change(task.id, lambda _found: RetryLater(1, a_problem(), NOON))
        await worker.tasks.change(task.id, lambda _found: Assign("gpu-worker-image-other", NOON))
        worker.world.clock.advance(seconds=4)
        worker.engine.script = instantly
        finish.set()
        await worker.is_idle()
        found = await worker.now(task)
        assert (found.phase, found.attempt, found.worker_id) == (Phase.ASSIGNED, 2, "gpu-worker-image-other")
        assert [stored async for stored in worker.world.objects.list("staging")] == []
        async with asyncio.timeout(30):
            told = f'worker_fenced_gpu_seconds_total{{worker="{WORKER}"}} 4.0'
            while told not in (await worker.running.http.get("/metrics")).text:
                await asyncio.sleep(0.001)


async def test_what_is_generated_is_no_longer_under_the_time_limit(
    start: Start, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_worker.handlers.running.ENCODING_SAID_AFTER_SECONDS", 0.0)

    class Slow(type(world.objects)):  # type: ignore[misc]
        async def put(self, key: str, content: bytes | Path) -> None:
            await asyncio.Event().wait()

    world.objects = Slow(world.clock)
    async with start() as worker:
        found = await worker.reaches(await worker.assign(time_limit_seconds=1), Phase.ENCODING)
        assert found.deadline is not None
        assert found.deadline - world.clock.now() > timedelta(minutes=15)


async def test_it_says_that_it_has_begun_before_it_fetches_inputs(start: Start, world: World) -> None:
    class Slow(type(world.objects)):  # type: ignore[misc]
        async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

    world.objects = Slow(world.clock)
    own = media_result(a_task())
    await media_records(world.state).create(own.id, own)
    async with start() as worker:
        task = await worker.assign(model="tiny-image-edit", inputs={"image": own.id})
        await worker.reaches(task, Phase.LOADING_MODEL)
        assert worker.engine.jobs == []


async def test_a_store_that_lags_behind_does_not_end_a_run(start: Start, world: World) -> None:
    """What it gives then says that the attempt has not even begun."""
    lags = asyncio.Event()

    class Lagging(type(world.state)):  # type: ignore[misc]
        async def get(self, key: str) -> Versioned | None:
            found: Versioned | None = await super().get(key)
            if not lags.is_set() or found is None:
                return found
            lags.clear()
            before = Task.model_validate_json(found.value)
            older = before.model_copy(update={"attempt": before.attempt - 1, "seq": before.seq - 2})
            return Versioned(older.model_dump_json().encode(), found.etag)

    async with start(step_by_step) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        world.state.__class__ = Lagging
        lags.set()
        finish.set()
        with stamina.set_testing(True, attempts=5):
            await until(lambda: not lags.is_set())
            found = await worker.reaches(task, Phase.STORING)
        assert found.attempt == task.attempt


async def test_progress_is_told_at_a_measured_pace_and_written_down(start: Start) -> None:
    async with start(step_by_step) as worker:
        task = await worker.assign(params={"prompt": "x", "steps": 40})
        await worker.reaches(task, Phase.GENERATING)
        while (await worker.now(task)).phase is Phase.GENERATING:
            worker.world.clock.advance(seconds=0.1)
            await asyncio.sleep(0.002)
            if worker.world.clock.now() > NOON + timedelta(seconds=5):
                finish.set()
        progressed = [parse(message.event) for message in worker.world.bus.messages]
        told = [event.progress for event in progressed if isinstance(event, TaskProgressed)]
        assert 2 <= len(told) < 60
        assert all(later.step > earlier.step for earlier, later in pairwise(told))


async def test_it_says_once_which_offered_models_its_device_cannot_run(start: Start, world: World) -> None:
    world.catalog = read_catalog(only=["tiny-image", "sdxl"])
    with capture_logs() as said:
        async with start() as worker:
            await until(lambda: len(worker.heartbeats) > 2)
    told = [line["model"] for line in said if line["event"].startswith("this worker's device cannot run")]
    assert told == ["sdxl"]


async def test_an_engine_that_broke_is_replaced(start: Start) -> None:
    async with start(failing(a_problem(), broken=True)) as worker:
        await worker.reaches(await worker.assign(), Phase.RETRY_WAIT)
        assert worker.engine.replacements == 1
