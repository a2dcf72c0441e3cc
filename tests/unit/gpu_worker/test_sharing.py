"""Attempts that a worker was given to share a forward pass."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from contracts.identifiers import task_id_for
from contracts.tasks import Phase, RequestCancel, Task, run_of
from contracts.testing.examples import a_problem
from contracts.tracing import TraceContext
from contracts.workers import WorkerState
from gpu_worker.protocol import Failed, JobReport, RunJob
from gpu_worker.testing import ScriptedEngine, instantly, until_killed

from tests.conftest import World, until
from tests.tracing import Recording
from tests.unit.gpu_worker.driving import Start, WorkerUnderTest, finish, step_by_step

LONG = timedelta(seconds=60)
"""Nobody in these tests waits for so long: who goes on has not waited for the others."""
SHORT = timedelta(seconds=0.02)


async def given(worker: WorkerUnderTest, *names: str, together: int, **changes: Any) -> list[Task]:
    tasks = []
    for name in names:
        task = await worker.assigned(id=task_id_for("p1", name), **changes)
        await worker.deliver_assignment(task, batch="b", together=together)
        tasks.append(task)
    return tasks


def passes(worker: WorkerUnderTest) -> list[set[str]]:
    return [{job.task_id for job in jobs} for jobs in worker.engine.passes]


async def test_those_that_go_together_share_a_pass_as_soon_as_all_have_come(start: Start) -> None:
    async with start(worker_wait_for_batch=LONG) as worker:
        tasks = await given(worker, *"abc", together=3)
        for task in tasks:
            found = await worker.reaches(task, Phase.STORING)
            assert found.produced is not None
            assert found.produced.provenance.batch == 3
            assert found.together == 3
        assert passes(worker) == [{task.id for task in tasks}]


async def test_a_shared_pass_is_a_trace_of_its_own_that_names_the_runs_it_served(world: World, start: Start) -> None:
    world.tracing = tracing = Recording()
    clicks = {name: TraceContext(name * 32, "f" * 16, sampled=True) for name in "ab"}
    async with start(worker_wait_for_batch=LONG) as worker:
        tasks = []
        for name, click in clicks.items():
            tasks += await given(worker, name, together=2, traceparent=str(click))
        for task in tasks:
            await worker.reaches(task, Phase.STORING)
        await until(lambda: bool(tracing.named("batch")))
    [span] = tracing.named("batch")
    assert span.parent is None
    assert set(span.links) == {run_of(task) for task in tasks} == {run.context for run in tracing.named("run")}
    assert span.attributes["movie_tasks.together"] == 2


async def test_who_runs_alone_waits_for_nobody(start: Start) -> None:
    async with start(worker_wait_for_batch=LONG) as worker:
        found = await worker.reaches(await worker.assign(), Phase.STORING)
        assert found.produced is not None and found.produced.provenance.batch == 1


async def test_those_that_do_not_come_are_not_waited_for_for_long(start: Start) -> None:
    async with start(worker_wait_for_batch=SHORT) as worker:
        tasks = await given(worker, *"ab", together=3)
        for task in tasks:
            assert (await worker.reaches(task, Phase.STORING)).together == 2
        [late] = await given(worker, "c", together=3)
        await worker.reaches(late, Phase.STORING)
        assert passes(worker) == [{task.id for task in tasks}, {late.id}]


async def test_who_is_told_that_the_device_is_shared_is_told_by_how_many(start: Start) -> None:
    async with start(step_by_step, worker_wait_for_batch=SHORT) as worker:
        [task] = await given(worker, "a", together=3)
        await worker.reaches(task, Phase.GENERATING)
        assert (await worker.now(task)).together == 1


async def test_heartbeats_name_all_of_a_pass_and_the_worker_is_busy(start: Start) -> None:
    async with start(step_by_step, worker_wait_for_batch=LONG) as worker:
        await until(lambda: bool(worker.heartbeats))
        await worker.hear_itself()
        tasks = await given(worker, *"ab", together=2)
        for task in tasks:
            await worker.reaches(task, Phase.GENERATING)
        await until(lambda: len(worker.heartbeats[-1].runs) == 2)
        said = worker.heartbeats[-1]
        assert (said.state, said.slots) == (WorkerState.BUSY, 1)
        assert {run.task_id for run in said.runs if run.on_device} == {task.id for task in tasks}


async def test_a_cancel_of_one_lets_the_others_go_on(start: Start) -> None:
    async with start(step_by_step, worker_wait_for_batch=LONG) as worker:
        first, second = await given(worker, *"ab", together=2)
        await worker.reaches(first, Phase.GENERATING)
        await worker.cancel(first)
        await worker.reaches(first, Phase.CANCELLED)
        finish.set()
        assert (await worker.reaches(second, Phase.STORING)).failures == 0


async def test_an_engine_is_not_killed_for_one_while_others_of_the_pass_are_wanted(start: Start) -> None:
    async with start(until_killed, worker_wait_for_batch=LONG, worker_stop_within=SHORT) as worker:
        first, second = await given(worker, *"ab", together=2)
        for task in (first, second):
            await worker.reaches(task, Phase.GENERATING)
        await worker.cancel(first)
        await asyncio.sleep(5 * SHORT.total_seconds())
        assert worker.engine.replacements == 0
        await worker.cancel(second)
        for task in (first, second):
            assert (await worker.reaches(task, Phase.CANCELLED)).failures == 0
        assert worker.engine.replacements == 1


async def test_a_failure_of_one_is_its_own(start: Start) -> None:
    bad = task_id_for("p1", "a")

    async def one_fails(engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
        if job.task_id == bad:
            yield Failed(task_id=job.task_id, attempt=job.attempt, problem=a_problem(retryable=False))
            return
        async for report in instantly(engine, job):
            yield report

    async with start(one_fails, worker_wait_for_batch=LONG) as worker:
        first, second = await given(worker, *"ab", together=2)
        await worker.reaches(first, Phase.FAILED)
        await worker.reaches(second, Phase.STORING)


@pytest.mark.parametrize("different", [{"params": {"prompt": "x", "steps": 9}}, {"model": "tiny-image-edit"}])
async def test_what_is_not_alike_is_not_run_together(start: Start, different: dict[str, object]) -> None:
    async with start(worker_wait_for_batch=SHORT) as worker:
        tasks = await given(worker, "a", together=2) + await given(worker, "b", together=2, **different)
        for task in tasks:
            await worker.reaches(task, Phase.STORING)
        assert sorted(len(jobs) for jobs in worker.engine.passes) == [1, 1]


async def test_larger_tasks_do_not_all_fit_whatever_was_announced(start: Start) -> None:
    async with start(worker_wait_for_batch=SHORT) as worker:
        size = {"prompt": "x", "width": 256, "height": 256}
        for task in await given(worker, *"abc", together=3, params=size):
            await worker.reaches(task, Phase.STORING)
        assert sorted(len(jobs) for jobs in worker.engine.passes) == [1, 2]


async def test_what_is_cancelled_while_the_others_are_waited_for_does_not_run(start: Start) -> None:
    async with start(worker_wait_for_batch=SHORT) as worker:
        gone, task = [await worker.assigned(id=task_id_for("p1", name)) for name in "ab"]
        await worker.tasks.change(gone.id, lambda _found: RequestCancel())
        for one in (gone, task):
            await worker.deliver_assignment(one, batch="b", together=2)
        await worker.reaches(task, Phase.STORING)
        assert passes(worker) == [{task.id}]


async def test_a_pass_beyond_the_time_limit_is_no_proof_against_any_of_it(start: Start) -> None:
    async with start(until_killed, worker_wait_for_batch=LONG) as worker:
        tasks = await given(worker, *"ab", together=2, time_limit_seconds=0.05)
        for task in tasks:
            assert (await worker.reaches(task, Phase.RETRY_WAIT, Phase.FAILED)).phase is Phase.RETRY_WAIT


async def test_told_to_go_it_hands_back_all_of_a_pass(start: Start) -> None:
    async with start(until_killed, worker_wait_for_batch=LONG) as worker:
        tasks = await given(worker, *"ab", together=2) + await given(worker, "c", together=3)
        for task in tasks:
            await worker.reaches(task, Phase.GENERATING, Phase.LOADING_MODEL)
    for task in tasks:
        found = await worker.now(task)
        assert (found.phase, found.failures) == (Phase.QUEUED, 0)
