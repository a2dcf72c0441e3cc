"""A device does not wait for what comes after it: storage makes thumbnails while the next task generates."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from contracts.media import Medium
from contracts.tasks import Phase
from contracts.testing.examples import a_task
from contracts.topics import TASK_EVENTS
from contracts.workers import WorkerState
from cryptography.fernet import Fernet
from gpu_worker.app import create_around
from gpu_worker.settings import WorkerSettings
from gpu_worker.testing import ScriptedEngine
from storage.adapters.media_tools import PillowAndPyAV
from storage.app import create
from storage.domain import Probe
from storage.settings import StorageSettings

from tests.conftest import Serve, World, until
from tests.unit.gpu_worker.driving import WorkerUnderTest


class SlowThumbnails:
    """Thumbnails that are not done before the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()

    async def __call__(self, _path: Path, _probe: Probe) -> bytes:
        self.begun += 1
        await self.may_end.wait()
        return b"small"


@pytest.fixture
async def thumbnails(monkeypatch: pytest.MonkeyPatch) -> SlowThumbnails:
    slow = SlowThumbnails()
    monkeypatch.setattr(PillowAndPyAV, "thumbnail", staticmethod(slow))
    return slow


@pytest.fixture
async def worker(
    world: World, serve: Serve, tmp_path: Path, database_url: Callable[[str], str]
) -> AsyncIterator[WorkerUnderTest]:
    """With storage beside it, which hears what it announces."""
    engine = ScriptedEngine()
    working = create_around(
        engine,
        nullcontext,
        WorkerSettings(
            worker_medium=Medium.IMAGE,
            worker_scratch=tmp_path / "scratch",
            worker_heartbeat=timedelta(seconds=0.02),
            media_url="memory:///",
            replica="test",
        ),
        world.outside,
    )
    storing = create(
        StorageSettings(
            storage_database=database_url("storage"),
            storage_scratch=tmp_path / "storage-scratch",
            media_link_keys=Fernet.generate_key().decode(),
            media_url="memory:///",
            replica="test",
        ),
        world.outside,
    )
    async with serve([working, storing]) as running:

        async def deliver(message: object) -> None:
            await running.deliver(message)  # type: ignore[arg-type]

        world.bus.subscribe(TASK_EVENTS.name, deliver)
        yield WorkerUnderTest(running, world, engine, working)


async def test_the_next_task_generates_while_the_thumbnail_of_the_last_is_made(
    worker: WorkerUnderTest, thumbnails: SlowThumbnails
) -> None:
    await until(lambda: bool(worker.heartbeats))
    await worker.hear_itself()
    first = await worker.assign()
    await until(lambda: thumbnails.begun == 1)
    # As scheduling sees it: the slot is free, so that it gives the next one.
    said = len(worker.heartbeats)
    await until(lambda: len(worker.heartbeats) > said + 1)
    assert worker.heartbeats[-1].state is WorkerState.READY
    assert not worker.heartbeats[-1].runs
    second = await worker.assign(id=a_task(id="00000000-0000-4000-8000-000000000001").id)
    await until(lambda: thumbnails.begun == 2)
    assert (await worker.now(first)).phase is Phase.STORING, "its thumbnail is not done"
    assert (await worker.now(second)).phase is Phase.STORING, "it was generated whole meanwhile"
    assert [job.task_id for job in worker.engine.jobs] == [first.id, second.id]
    thumbnails.may_end.set()
    for task in (first, second):
        assert (await worker.reaches(task, Phase.DONE)).result is not None
