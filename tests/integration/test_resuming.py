"""The engine child killed in the middle of a clip: the next one goes on, and the frames are the same."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from contracts.catalog import Catalog, read_catalog
from contracts.identifiers import task_id_for
from gpu_worker.adapters.engine_process import EngineProcess
from gpu_worker.protocol import Encoded, EngineOptions, Generated, Generating, JobReport, RunJob, Saved, Stepped
from gpu_worker.testing.conformance import run

STEPS = 8
[TINY] = read_catalog(only=["tiny-video"]).models
CATALOG = Catalog(version=1, models=(TINY.model_copy(update={"checkpoint_seconds": 0.001}),))


@pytest.fixture
async def engine(models_folder: Path) -> AsyncIterator[EngineProcess]:
    process = EngineProcess(
        EngineOptions(catalog=CATALOG, models_folder=str(models_folder), threads=2, log_level="CRITICAL")
    )
    async with process.running():
        yield process


def a_job(folder: Path, attempt: int, checkpoint: Path | None = None) -> RunJob:
    folder.mkdir()
    params = {"prompt": "a red circle moving right", "seed": 7, "steps": STEPS, "frames": 9, "frame_rate": 8}
    return RunJob(
        task_id=task_id_for("p", "clip"),
        attempt=attempt,
        correlation_id="c",
        model="tiny-video",
        params={**params, "width": 96, "height": 96, "guidance": 3.0, "negative_prompt": ""},
        inputs={},
        folder=str(folder),
        checkpoint=str(checkpoint) if checkpoint else None,
    )


def frames(reports: list[JobReport]) -> np.ndarray[Any, Any]:
    assert isinstance(reports[-1], Encoded), reports[-1]
    with av.open(reports[-1].path) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


async def killed_after(engine: EngineProcess, job: RunJob, step: int) -> Path:
    """The last checkpoint of a run whose process is killed once it has saved itself after the step."""
    path: Path | None = None
    async for report in engine.run(job):
        if isinstance(report, Saved) and report.step == step:
            path = Path(shutil.copy(report.path, Path(job.folder).parent / "kept.safetensors"))
            os.kill(engine.process_id, signal.SIGKILL)
    assert path is not None, "it never came to that step"
    return path


async def test_a_clip_whose_engine_was_killed_goes_on_where_it_was(engine: EngineProcess, tmp_path: Path) -> None:
    whole = await run(engine, a_job(tmp_path / "whole", 1))
    checkpoint = await killed_after(engine, a_job(tmp_path / "killed", 2), step=5)
    async with asyncio.timeout(60):
        resumed = await run(engine, a_job(tmp_path / "resumed", 3, checkpoint))
    assert [report.first_step for report in resumed if isinstance(report, Generating)] == [5]
    assert [report.step for report in resumed if isinstance(report, Stepped)] == [6, 7, 8]
    assert [report.execution.resumed_at_step for report in resumed if isinstance(report, Generated)] == [5]
    assert np.array_equal(frames(resumed), frames(whole))


async def test_a_checkpoint_that_was_cut_off_is_not_believed(engine: EngineProcess, tmp_path: Path) -> None:
    checkpoint = await killed_after(engine, a_job(tmp_path / "killed", 1), step=2)
    os.truncate(checkpoint, checkpoint.stat().st_size // 2)
    again = await run(engine, a_job(tmp_path / "again", 2, checkpoint))
    assert [report.first_step for report in again if isinstance(report, Generating)] == [0]
    assert isinstance(again[-1], Encoded)
