"""Runs that leave checkpoints, and runs that begin with one: the record always names a file that is there."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from pathlib import Path

from contracts.tasks import Assign, Checkpoint, Phase, Task
from contracts.testing.examples import NOON, a_problem
from contracts.topics import checkpoint_key
from gpu_worker.protocol import JobReport, RunJob, Saved, Stepped
from gpu_worker.testing import Script, ScriptedEngine, failing, instantly, until_killed

from tests.conftest import until
from tests.unit.gpu_worker.driving import WORKER, Start, WorkerUnderTest


def gone(path: Path) -> bool:
    return not path.exists()


def saving(*steps: int, then: Script = until_killed) -> Script:
    """Saves itself after these steps, and goes on as `then` says."""

    async def save(engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
        named = {"task_id": job.task_id, "attempt": job.attempt}
        async with aclosing(then(engine, job)) as reports:
            # Begun before the steps, so that it hears of a child that is replaced right after them.
            yield await anext(reports)
            for step in steps:
                yield Stepped(**named, step=step, total=100)
                path = Path(job.folder) / f"checkpoint-{step}.safetensors"
                await asyncio.to_thread(path.write_bytes, f"after step {step}".encode())
                yield Saved(**named, step=step, path=str(path))
                await until(partial(gone, path))
            async for report in reports:
                yield report

    return save


async def staged(worker: WorkerUnderTest, task: Task) -> list[str]:
    return [found.key async for found in worker.world.objects.list("staging") if task.id in found.key]


async def until_saved_after(worker: WorkerUnderTest, task: Task, step: int) -> Task:
    async with asyncio.timeout(30):
        while (found := await worker.now(task)).checkpoint is None or found.checkpoint.step != step:
            await asyncio.sleep(0.001)
    return found


async def test_the_record_names_the_newest_and_the_older_goes(start: Start) -> None:
    async with start(saving(10, 20)) as worker:
        task = await worker.assign()
        found = await until_saved_after(worker, task, 20)
        assert found.checkpoint == Checkpoint(key=checkpoint_key(task.id, 1, 20), step=20)
        async with asyncio.timeout(30):
            while await staged(worker, task) != [checkpoint_key(task.id, 1, 20)]:
                await asyncio.sleep(0.001)
        worker.engine.replace()


async def test_the_next_attempt_begins_where_the_last_was_saved(start: Start) -> None:
    async with start(saving(10)) as worker:
        task = await worker.assign()
        await until_saved_after(worker, task, 10)
        await until(partial(gone, Path(worker.engine.jobs[0].folder) / "checkpoint-10.safetensors"))
        worker.engine.replace()
        await worker.reaches(task, Phase.RETRY_WAIT)

        given: list[bytes] = []

        async def resume(engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
            assert job.checkpoint is not None
            given.append(await asyncio.to_thread(Path(job.checkpoint).read_bytes))
            async with aclosing(instantly(engine, job)) as reports:
                async for report in reports:
                    yield report

        worker.engine.script = resume
        again = await worker.tasks.change(task.id, lambda _found: Assign(WORKER, NOON + timedelta(seconds=15)))
        await worker.deliver_assignment(again)
        done = await worker.reaches(task, Phase.STORING)
        assert given == [b"after step 10"]
        assert done.checkpoint is None
        await worker.is_idle()
        assert await staged(worker, task) == [f"staging/{task.id}/2/output.png"]


async def test_a_checkpoint_that_is_gone_is_done_without(start: Start) -> None:
    async with start() as worker:
        task = await worker.assign(checkpoint=Checkpoint(key="staging/x/1/checkpoint-5.safetensors", step=5))
        await worker.reaches(task, Phase.STORING)
        assert worker.engine.jobs[0].checkpoint is None


async def test_a_failure_keeps_what_was_saved_for_the_next_attempt(start: Start) -> None:
    async with start(saving(10, then=failing(a_problem()))) as worker:
        task = await worker.assign()
        found = await worker.reaches(task, Phase.RETRY_WAIT)
        assert found.checkpoint == Checkpoint(key=checkpoint_key(task.id, 1, 10), step=10)
        assert await staged(worker, task) == [checkpoint_key(task.id, 1, 10)]
