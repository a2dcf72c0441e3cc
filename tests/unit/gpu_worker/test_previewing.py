"""Previews are made for who watches, shown in staging while the task runs, and gone afterwards."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from contracts.errors import DependencyUnavailable
from contracts.events import FeedWatched, TaskProgressed, WatchedPart, feed_watched, parse
from contracts.tasks import Phase, Task
from contracts.testing.examples import NOON, a_task
from contracts.topics import preview_key
from gpu_worker.protocol import Generating, JobReport, RunJob
from gpu_worker.testing import ScriptedEngine, instantly, stepping

from tests.conftest import until
from tests.unit.gpu_worker.driving import Start, WorkerUnderTest

TASK = a_task(tags=("hero",))
wanted: set[int] = set()
"""Steps that the test has asked for."""
reached: set[int] = set()
"""Steps before which the run is, or was: everything before them has been heard by the worker."""


async def when_told(engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
    """Makes a step whenever the test says so."""
    named = {"task_id": job.task_id, "attempt": job.attempt}
    yield Generating(**named, warm_models=(job.model,))
    for step in range(1, int(str(job.params["steps"])) + 1):
        reached.add(step)
        await until(lambda step=step: step in wanted)  # type: ignore[misc]
        async for report in stepping(engine, job, step, 100):
            yield report
    async for report in instantly(engine, job.model_copy(update={"params": {"steps": 0}})):
        if not isinstance(report, Generating):
            yield report


@pytest.fixture(autouse=True)
def _no_step_yet() -> None:
    wanted.clear()
    reached.clear()


async def is_watched(worker: WorkerUnderTest, *parts: WatchedPart, seconds: float = 15) -> None:
    watched = FeedWatched(parts=parts, seconds=seconds)
    assert await worker.running.deliver(feed_watched(watched, "notification", NOON)) == "SUCCESS"


async def begun(worker: WorkerUnderTest, steps: int = 3) -> Task:
    task = await worker.assign(tags=TASK.tags, params={"prompt": "a red circle", "steps": steps})
    await until(lambda: 1 in reached)
    return task


async def step(worker: WorkerUnderTest) -> None:
    """One more a second later, with the preview that was asked for."""
    worker.world.clock.advance(seconds=1)
    number = len(wanted) + 1
    shown, drawn = len(previews(worker)), bool(worker.engine.to_be_shown)
    wanted.add(number)
    await until(lambda: any(event.progress.step == number for event in told(worker)))
    if drawn:
        await until(lambda: len(previews(worker)) > shown)
    else:
        await until(lambda: number + 1 in reached or worker.engine.jobs[-1].params["steps"] == number)


def told(worker: WorkerUnderTest) -> list[TaskProgressed]:
    events = [parse(message.event) for message in worker.world.bus.messages]
    return [event for event in events if isinstance(event, TaskProgressed)]


def previews(worker: WorkerUnderTest) -> list[int]:
    return [event.preview_step for event in told(worker) if event.preview_step is not None]


async def staged(worker: WorkerUnderTest, task: Task) -> list[str]:
    return [found.key async for found in worker.world.objects.list("staging") if task.id in found.key]


async def content(worker: WorkerUnderTest, task: Task) -> bytes:
    return b"".join([chunk async for chunk in worker.world.objects.read(preview_key(task.id, task.attempt))])


async def test_nothing_is_drawn_while_nobody_watches(start: Start) -> None:
    async with start(when_told) as worker:
        task = await begun(worker)
        for _ in range(3):
            await step(worker)
        await worker.reaches(task, Phase.STORING)
        assert worker.engine.shown == 0
        assert previews(worker) == []


@pytest.mark.parametrize(
    "part",
    [
        WatchedPart(project_id="p1"),
        WatchedPart(project_id="p1", task_id=TASK.id),
        WatchedPart(project_id="p1", tag="hero"),
    ],
)
async def test_who_watches_sees_how_far_it_is(start: Start, part: WatchedPart) -> None:
    async with start(when_told) as worker:
        await is_watched(worker, part)
        task = await begun(worker)
        await step(worker)
        assert previews(worker) == [1]
        assert await content(worker, task) == b"after step 1"
        assert await staged(worker, task) == [preview_key(task.id, 1)]
        assert next(event.preview_step for event in told(worker)) is None, "progress waits for no preview"


@pytest.mark.parametrize(
    "part",
    [
        WatchedPart(project_id="p2"),
        WatchedPart(project_id="p2", task_id=TASK.id),
        WatchedPart(project_id="p2", tag="hero"),
        WatchedPart(project_id="p1", tag="her"),
        WatchedPart(project_id="p1", task_id=a_task(id="00000000-0000-4000-8000-000000000000").id),
    ],
)
async def test_whoever_watches_something_else_makes_nobody_draw(start: Start, part: WatchedPart) -> None:
    async with start(when_told) as worker:
        await is_watched(worker, part)
        await begun(worker)
        await step(worker)
        assert worker.engine.shown == 0


async def test_not_more_often_than_is_set(start: Start) -> None:
    async with start(when_told, worker_preview_every=timedelta(seconds=2)) as worker:
        await is_watched(worker, WatchedPart(project_id="p1"), seconds=60)
        task = await begun(worker, steps=10)
        for _ in range(5):
            await step(worker)
        # Asked for at the beginning and after every second second, each is of the step that comes next.
        assert previews(worker) == [1, 3, 5]
        assert await content(worker, task) == b"after step 5"
        assert await staged(worker, task) == [preview_key(task.id, 1)], "each takes the place of the one before"


async def test_ends_soon_after_nobody_watches_any_more(start: Start) -> None:
    async with start(when_told) as worker:
        await is_watched(worker, WatchedPart(project_id="p1"), seconds=3)
        await begun(worker, steps=10)
        for _ in range(9):
            await step(worker)
        assert previews(worker) == [1, 3]
        await is_watched(worker, WatchedPart(project_id="p1"), seconds=3)
        await step(worker)


async def test_is_gone_when_the_task_has_ended(start: Start) -> None:
    async with start(when_told) as worker:
        await is_watched(worker, WatchedPart(project_id="p1"))
        task = await begun(worker, steps=2)
        await step(worker)
        assert preview_key(task.id, 1) in await staged(worker, task)
        await step(worker)
        await worker.reaches(task, Phase.STORING)
        await worker.is_idle()
        assert preview_key(task.id, 1) not in await staged(worker, task)


async def test_is_gone_when_the_task_is_cancelled(start: Start) -> None:
    async with start(until_cancelled) as worker:
        await is_watched(worker, WatchedPart(project_id="p1"))
        task = await worker.assign(params={"prompt": "x"})
        await until(lambda: bool(previews(worker)))
        assert await staged(worker, task) == [preview_key(task.id, 1)]
        await worker.cancel(task)
        await worker.reaches(task, Phase.CANCELLED)
        await worker.is_idle()
        assert await staged(worker, task) == []


async def until_cancelled(engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
    async for report in instantly(engine, job.model_copy(update={"params": {"steps": 1_000_000}})):
        yield report
        await asyncio.sleep(0.001)


async def test_a_store_that_is_away_costs_the_preview_and_nothing_else(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with start(when_told) as worker:
        put = worker.world.objects.put

        async def away(key: str, given: bytes | Path) -> None:
            if key.endswith("preview.webp"):
                raise DependencyUnavailable("the store is away")
            await put(key, given)

        monkeypatch.setattr(worker.world.objects, "put", away)
        await is_watched(worker, WatchedPart(project_id="p1"))
        task = await begun(worker, steps=1)
        wanted.add(1)
        await worker.reaches(task, Phase.STORING)
        assert worker.engine.shown == 1
        assert previews(worker) == []
        assert list((tmp_path / "scratch").rglob("preview*")) == []
