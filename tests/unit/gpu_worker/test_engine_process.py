"""What the engine's keeper does while no child comes up, without a child."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from contracts.errors import Problem
from contracts.identifiers import task_id_for
from contracts.workers import Device
from gpu_worker.adapters import engine_process
from gpu_worker.adapters.engine_process import FORK_SERVER, EngineProcess
from gpu_worker.protocol import EngineOptions, EngineReady, Failed, JobReport, RunJob, Stopped

from tests.conftest import TINY_MODELS

TASK = task_id_for("p", "a")
BROKEN = Problem.of("device-broken", "The device is broken", "CUDA error", retryable=True)


@pytest.fixture
def engine(tmp_path: Path) -> EngineProcess:
    return EngineProcess(EngineOptions(catalog=TINY_MODELS, models_folder=str(tmp_path), threads=1, log_level="ERROR"))


def a_job(folder: Path) -> RunJob:
    return RunJob(
        task_id=TASK, attempt=1, correlation_id="c", model="tiny-image", params={}, inputs={}, folder=str(folder)
    )


async def all_of(reports: AsyncGenerator[JobReport]) -> list[JobReport]:
    return [report async for report in reports]


async def test_a_run_that_broke_its_child_ends_although_no_other_comes_up(
    engine: EngineProcess, tmp_path: Path
) -> None:
    """Or its task would be said to run until its time limit, and fail for that."""
    engine._receive(EngineReady(device=Device(name="a GPU", kind="cuda"), versions={}, warm_models=()))
    following = asyncio.create_task(all_of(engine.run(a_job(tmp_path))))
    await asyncio.sleep(0)
    engine._receive(Failed(task_id=TASK, attempt=1, problem=BROKEN, broken=True))
    async with asyncio.timeout(30):
        [report] = await following
    assert isinstance(report, Failed) and report.problem == BROKEN
    assert not engine.ready


async def test_what_no_child_comes_up_for_is_given_back(
    engine: EngineProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_process, "COMES_UP_WITHIN_SECONDS", 0.01)
    async with asyncio.timeout(30):
        reports = await all_of(engine.run(a_job(tmp_path)))
    assert reports == [Stopped(task_id=TASK, attempt=1)]


async def test_a_child_that_cannot_be_started_is_tried_again(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the machine has no memory for another process, and the fork server died of it."""
    tried = asyncio.Event()
    tries = 0

    def start(_process: object) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            loop.call_soon_threadsafe(tried.set)
        raise EOFError

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(FORK_SERVER.Process, "start", start)
    async with asyncio.timeout(30), engine.running():
        await tried.wait()
        assert engine.setup_failure == "the engine could not be started: EOFError()"
