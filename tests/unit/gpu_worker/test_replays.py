"""The worker on a replay: what it compares with, and what it says of it."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from contracts.identifiers import task_id_for
from contracts.media import Comparison, Provenance
from contracts.records import media_records
from contracts.tasks import Phase, ReplayOf, Task
from contracts.testing.examples import a_task, a_task_in, media_result, produced_media
from contracts.topics import task_key
from gpu_worker.domain.replays import with_circumstances
from gpu_worker.protocol import JobReport, RunJob
from gpu_worker.testing import PNG, ScriptedEngine, instantly

from tests.conftest import World
from tests.unit.gpu_worker.driving import WORKER, Start, WorkerUnderTest

MADE = produced_media(a_task()).provenance


async def an_original(world: World, *, file: bool = True, media: bool = True, **changes: Any) -> Task:
    """A done task in the state store, with its media document and file."""
    original = a_task_in(Phase.DONE, id=task_id_for("p1", "original"), **changes)
    await world.state.create(task_key(original.id), original.model_dump_json().encode())
    assert original.result is not None
    if media:
        await media_records(world.state).create(original.result.id, original.result)
    if file:
        await world.objects.put(original.result.key, PNG)
    return original


def replay_of(original: Task) -> ReplayOf:
    assert original.result is not None
    return ReplayOf(task_id=original.id, media_id=original.result.id)


async def replayed(worker: WorkerUnderTest, original: Task, **changes: Any) -> Comparison:
    task = await worker.assign(replay_of=replay_of(original), **changes)
    found = await worker.reaches(task, Phase.STORING, Phase.FAILED)
    assert found.produced is not None, found.error
    assert found.produced.comparison is not None
    return found.produced.comparison


async def test_the_original_is_handed_to_the_engine_and_what_it_finds_is_handed_in(start: Start, world: World) -> None:
    original = await an_original(world)
    seen = []

    async def read_it(engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
        assert job.original is not None and job.original.path is not None
        seen.append(Path(job.original.path).read_bytes())
        async for report in instantly(engine, job):
            yield report

    async with start(read_it) as worker:
        found = await replayed(worker, original)
        [job] = worker.engine.jobs
        assert job.original is not None and job.original.path is not None and original.result is not None
        assert (Path(job.original.path).name, job.original.sha256) == ("original.png", original.result.sha256)
        assert seen == [PNG]
        assert found.equal is False
        assert (
            found.note
            == "diffusers 0.42.1 then, none now; engine none then, scripted now; device cpu then, no device now"
        )


async def test_a_task_that_replays_nothing_compares_nothing(start: Start) -> None:
    async with start() as worker:
        found = await worker.reaches(await worker.assign(), Phase.STORING)
        assert worker.engine.jobs[0].original is None
        assert found.produced is not None and found.produced.comparison is None


@pytest.mark.parametrize("lost", [{"file": False}, {"media": False}])
async def test_without_the_originals_file_its_checksum_is_left(
    start: Start, world: World, lost: dict[str, bool]
) -> None:
    original = await an_original(world, **lost)
    async with start() as worker:
        assert (await replayed(worker, original)).equal is False
        job = worker.engine.jobs[0]
        assert job.original is not None and original.result is not None
        assert (job.original.path, job.original.sha256) == (None, original.result.sha256)


async def test_an_original_that_is_gone_does_not_fail_the_task(start: Start) -> None:
    async with start() as worker:
        assert (await replayed(worker, a_task_in(Phase.DONE, id=task_id_for("p1", "gone")))).equal is None


async def test_nothing_is_told_of_another_projects_original(start: Start, world: World) -> None:
    foreign = await an_original(world, project_id="p2")
    async with start() as worker:
        found = await replayed(worker, foreign)
        assert (found.equal, found.note) == (None, None)
        job = worker.engine.jobs[0]
        assert job.original is not None and job.original.model_dump(exclude_none=True) == {}


async def test_media_of_another_project_are_not_fetched(start: Start, world: World) -> None:
    original = await an_original(world, media=False)
    assert original.result is not None
    foreign = original.result.model_copy(update={"project_id": "p2"})
    await media_records(world.state).create(foreign.id, foreign)
    async with start() as worker:
        await replayed(worker, original)
        job = worker.engine.jobs[0]
        assert job.original is not None and job.original.path is None


async def test_a_record_that_names_another_result_than_its_originals_is_told_nothing(
    start: Start, world: World
) -> None:
    original = await an_original(world)
    other = media_result(original, attempt=2)
    async with start() as worker:
        named = ReplayOf(task_id=original.id, media_id=other.id)
        found = await worker.reaches(await worker.assign(replay_of=named), Phase.STORING)
        assert found.produced is not None and found.produced.comparison == Comparison(equal=None)


async def test_a_replay_shares_no_pass_whatever_its_assignment_says(start: Start, world: World) -> None:
    original = await an_original(world)
    async with start(worker_wait_for_batch=timedelta(seconds=30)) as worker:
        task = await worker.assigned(WORKER, id=task_id_for("p1", "replay"), replay_of=replay_of(original))
        another = await worker.assigned(WORKER, params=original.params)
        for one in (task, another):
            await worker.deliver_assignment(one, batch="b", together=2)
        assert (await worker.reaches(task, Phase.STORING)).together == 1
        assert [[job.task_id for job in jobs] for jobs in worker.engine.passes] == [[task.id]]


def made(**changes: Any) -> Provenance:
    return MADE.model_copy(update=changes)


@pytest.mark.parametrize(
    ("then", "now", "note"),
    [
        (made(), made(worker_id="another", attempt=2, generate_seconds=9), None),
        (
            made(versions={"av": "17", "torch": "2"}),
            made(versions={"torch": "3", "av": "17", "diffusers": "0.42"}),
            "diffusers none then, 0.42 now; torch 2 then, 3 now",
        ),
        (made(device="NVIDIA H100"), made(device="NVIDIA L4"), "device NVIDIA H100 then, NVIDIA L4 now"),
        (made(revision="a" * 3), made(revision="b" * 3), "revision aaa then, bbb now"),
        (made(batch=4), made(), "tasks in the forward pass 4 then, 1 now"),
        (made(), made(speedups=("compile", "fp8_storage")), "speedups none then, compile, fp8_storage now"),
        (made(resumed_at_step=3), made(), "resumed at step 3 then, 0 now"),
        (made(params={"seed": 1}), made(params={"seed": 1, "steps": 4}), "steps none then, 4 now"),
    ],
)
def test_what_was_not_as_it_had_been_is_told(then: Provenance, now: Provenance, note: str | None) -> None:
    found = with_circumstances(Comparison(equal=False), then, now)
    assert found is not None and found.note == note


def test_why_nothing_was_measured_is_told_first() -> None:
    found = with_circumstances(Comparison(equal=False, note="too long"), made(device="a"), made(device="b"))
    assert found is not None and found.note == "too long; device a then, b now"
