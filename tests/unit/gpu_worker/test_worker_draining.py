"""The worker that is to take no more work: it finishes or hands back what it has."""

import asyncio
from datetime import timedelta

from contracts.tasks import Phase
from contracts.testing.examples import a_task
from contracts.workers import WorkerState
from gpu_worker.testing import until_killed

from tests.conftest import until
from tests.unit.gpu_worker.driving import Start, finish, step_by_step


async def test_told_to_stop_it_finishes_what_it_has_and_takes_nothing_more(start: Start) -> None:
    async with start(step_by_step) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        draining = asyncio.create_task(worker.service.drain())
        await until(lambda: worker.heartbeats[-1].state is WorkerState.DRAINING)
        late = await worker.assign(id=a_task(project_id="p2").id, project_id="p2")
        finish.set()
        await draining
        assert (await worker.now(task)).phase is Phase.STORING
        assert (await worker.now(late)).phase is Phase.ASSIGNED


async def test_drained_by_an_operator_it_finishes_what_it_has_and_takes_nothing_more(start: Start) -> None:
    async with start(step_by_step) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        await worker.drain(True)
        await until(lambda: worker.heartbeats[-1].state is WorkerState.DRAINING)
        assert worker.heartbeats[-1].reason == "ada wants it to take no more work"
        late = await worker.assign(id=a_task(project_id="p2").id, project_id="p2")
        finish.set()
        await worker.reaches(task, Phase.STORING)
        assert (await worker.now(late)).phase is Phase.ASSIGNED


async def test_resumed_it_takes_work_again(start: Start) -> None:
    async with start() as worker:
        await worker.hear_itself()
        await worker.drain(True)
        await until(lambda: worker.heartbeats[-1].state is WorkerState.DRAINING)
        await worker.drain(False)
        await until(lambda: worker.heartbeats[-1].state is WorkerState.READY)
        await worker.reaches(await worker.assign(), Phase.STORING)


async def test_what_another_worker_is_told_is_no_concern_of_it(start: Start) -> None:
    async with start() as worker:
        await worker.drain(True, worker_id="gpu-worker-image-another")
        await worker.reaches(await worker.assign(), Phase.STORING)


async def test_what_is_not_finished_within_the_grace_time_is_handed_back(start: Start) -> None:
    async with start(step_by_step, worker_grace=timedelta(seconds=0.02)) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        await worker.service.drain()
        assert (await worker.now(task)).phase is Phase.GENERATING
    found = await worker.now(task)
    assert (found.phase, found.failures) == (Phase.QUEUED, 0)


async def test_told_to_go_it_hands_back_what_it_has(start: Start) -> None:
    async with start(until_killed) as worker:
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
    found = await worker.now(task)
    assert (found.phase, found.failures) == (Phase.QUEUED, 0)
    assert worker.lifecycle()[-1] == "task.queued.v1"
