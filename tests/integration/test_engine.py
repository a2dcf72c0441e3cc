"""The engine child for real: torch, diffusers pipelines, encoders, and what kills it."""

import asyncio
import hashlib
import os
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
from gpu_worker.protocol import (
    Encoded,
    EngineOptions,
    Failed,
    Generated,
    Original,
    RunJob,
    Stepped,
)
from gpu_worker.testing.conformance import EngineConformance, Job, run
from PIL import Image

CATALOG = read_catalog(only=["tiny-*"])


@pytest.fixture
async def engine(models_folder: Path) -> AsyncIterator[EngineProcess]:
    options = EngineOptions(catalog=CATALOG, models_folder=str(models_folder), threads=2, log_level="WARNING")
    process = EngineProcess(options)
    async with process.running():
        yield process


def a_job(folder: Path, model: str, name: str = "a", inputs: dict[str, str] | None = None, **params: Any) -> RunJob:
    given = {"prompt": "a red circle", "seed": 7} | params
    return RunJob(
        task_id=task_id_for("p", name),
        attempt=1,
        correlation_id="c",
        model=model,
        params=CATALOG[model].defaults | given,
        inputs=inputs or {},
        folder=str(folder),
    )


async def run_to_file(engine: EngineProcess, job: RunJob) -> Path:
    reports = await run(engine, job)
    assert isinstance(reports[-1], Encoded), reports[-1]
    assert reports[-1].size == Path(reports[-1].path).stat().st_size
    return Path(reports[-1].path)


class TestEngineProcess(EngineConformance):
    @pytest.fixture
    def job(self, tmp_path: Path) -> Job:
        def make(name: str, steps: int) -> RunJob:
            (tmp_path / name).mkdir(exist_ok=True)
            return a_job(tmp_path / name, "tiny-image", name, steps=steps, width=256, height=256)

        return make


async def test_an_image_and_another_from_it(engine: EngineProcess, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = await run_to_file(engine, a_job(tmp_path / "first", "tiny-image", width=96, height=64, steps=3))
    with Image.open(first) as image:
        assert (image.format, image.size) == ("PNG", (96, 64))
    assert engine.warm_models == ("tiny-image", "tiny-image-edit"), "both are made of the same components"
    job = a_job(tmp_path / "second", "tiny-image-edit", inputs={"image": str(first)}, steps=4)
    with Image.open(await run_to_file(engine, job)) as image:
        assert image.size == (96, 64)


async def test_the_same_seed_makes_the_same_bytes(engine: EngineProcess, tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        path = await run_to_file(engine, a_job(tmp_path / name, "tiny-image", name, steps=2, seed=seed))
        made.append(path.read_bytes())
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    ("model", "params"),
    [("tiny-video", {"frames": 9, "steps": 2}), ("tiny-audio", {"seconds": 0.5, "steps": 2})],
)
async def test_films_and_sounds_are_replayed_to_the_same_bytes(
    engine: EngineProcess, tmp_path: Path, model: str, params: dict[str, Any]
) -> None:
    first, again = (tmp_path / name for name in ("first", "again"))
    first.mkdir()
    again.mkdir()
    path = await run_to_file(engine, a_job(first, model, **params))
    original = Original(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    encoded = (await run(engine, a_job(again, model, **params).model_copy(update={"original": original})))[-1]
    assert isinstance(encoded, Encoded) and encoded.comparison is not None
    assert encoded.comparison.equal is True


async def test_a_replay_that_comes_out_as_another_picture_is_as_far_from_it_as_it_is(
    engine: EngineProcess, tmp_path: Path
) -> None:
    job = a_job(tmp_path, "tiny-image", steps=2)
    pixels = samples_of(await run_to_file(engine, job))
    other = tmp_path / "original.png"
    Image.fromarray((255 - pixels).astype(np.uint8)).save(other)
    original = Original(path=str(other), sha256="0" * 64)
    encoded = (await run(engine, job.model_copy(update={"original": original})))[-1]
    assert isinstance(encoded, Encoded) and encoded.comparison is not None
    differences = np.abs(255 - 2 * pixels) / 255
    assert encoded.comparison.equal is False
    assert encoded.comparison.max_difference == pytest.approx(differences.max(), rel=1e-5)
    assert encoded.comparison.mean_difference == pytest.approx(differences.mean(), rel=1e-5)
    assert encoded.comparison.psnr_db == pytest.approx(-10 * np.log10((differences**2).mean()), rel=1e-5)


def samples_of(path: Path) -> np.ndarray[Any, Any]:
    """What a file shows or sounds like, in whole numbers."""
    if path.suffix == ".png":
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), dtype=np.int64)
    with av.open(path) as container:
        return np.concatenate([frame.to_ndarray().astype(np.int64).ravel() for frame in container.decode()])


def alike_but_for_what_is_given_per_item(folder: Path, model: str, count: int, **params: Any) -> list[RunJob]:
    jobs = []
    for number in range(count):
        (folder / f"{number}").mkdir(parents=True)
        own: dict[str, Any] = {
            "prompt": f"{number} red circles",
            "negative_prompt": "blue " * number,
            "seed": number * 1000,
        }
        jobs.append(a_job(folder / f"{number}", model, f"{number}", **params, **own))
    return jobs


@pytest.mark.parametrize(
    ("model", "count", "params", "tolerance"),
    [
        ("tiny-image", 8, {"steps": 8}, 2),
        # What a lossy codec makes of a rounding error may be some more.
        ("tiny-video", 2, {"frames": 9, "steps": 3}, 8),
        ("tiny-audio", 4, {"seconds": 0.5, "steps": 4}, 40),
    ],
)
async def test_each_of_a_pass_is_what_it_would_be_alone(
    engine: EngineProcess, tmp_path: Path, model: str, count: int, params: dict[str, Any], tolerance: int
) -> None:
    together = alike_but_for_what_is_given_per_item(tmp_path / "together", model, count, **params)
    reports = await run(engine, *together)
    assert {report.execution.batch for report in reports if isinstance(report, Generated)} == {count}, (
        "none was run again alone"
    )
    paths = {report.task_id: Path(report.path) for report in reports if isinstance(report, Encoded)}
    made = []
    for job in alike_but_for_what_is_given_per_item(tmp_path / "alone", model, count, **params):
        alone = samples_of(await run_to_file(engine, job))
        made.append(alone)
        assert np.abs(samples_of(paths[job.task_id]) - alone).max() <= tolerance
    assert np.abs(made[0] - made[1]).max() > 2 * tolerance, "they differ from each other"


async def test_a_video_and_another_from_an_image(engine: EngineProcess, tmp_path: Path) -> None:
    frame = tmp_path / "frame.png"
    Image.new("RGB", (300, 100), "red").save(frame)
    for model, inputs in (("tiny-video", None), ("tiny-video-from-image", {"image": str(frame)})):
        (tmp_path / model).mkdir()
        job = a_job(tmp_path / model, model, model, inputs=inputs, frames=9, steps=2, frame_rate=8)
        with av.open(await run_to_file(engine, job)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 96, 96)
            assert float(stream.average_rate) == 8
            assert len(list(container.decode(video=0))) == 9


@pytest.mark.parametrize("seconds", [0.5, 2.0])
async def test_a_sound(engine: EngineProcess, tmp_path: Path, seconds: float) -> None:
    path = await run_to_file(engine, a_job(tmp_path, "tiny-audio", seconds=seconds, steps=3))
    with av.open(path) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate, stream.channels) == ("pcm_s16le", 16_000, 1)
        assert sum(frame.samples for frame in container.decode(audio=0)) == seconds * 16_000


async def test_a_killed_child_fails_its_job_and_is_replaced(engine: EngineProcess, tmp_path: Path) -> None:
    job = a_job(tmp_path, "tiny-image", steps=50, width=256, height=256)
    async for report in engine.run(job):
        if isinstance(report, Stepped) and report.step == 1:
            os.kill(engine.process_id, signal.SIGKILL)
    assert isinstance(report, Failed)
    assert (report.problem.code, report.problem.retryable) == ("engine-crashed", True)
    async with asyncio.timeout(60):
        assert isinstance((await run(engine, a_job(tmp_path, "tiny-image", "b", steps=1)))[-1], Encoded)


async def test_an_input_that_is_no_image_is_the_requests_fault(engine: EngineProcess, tmp_path: Path) -> None:
    fake = tmp_path / "fake.png"
    fake.write_bytes(b"PK\x03\x04 not an image")
    [*_, last] = await run(engine, a_job(tmp_path, "tiny-image-edit", inputs={"image": str(fake)}))
    assert isinstance(last, Failed)
    assert (last.problem.code, last.problem.retryable) == ("unusable-input", False)


async def test_a_full_size_model_that_cannot_be_fetched_is_said_to_be_missing(tmp_path: Path) -> None:
    [entry] = read_catalog(only=["sdxl"]).models
    nowhere = entry.source.model_copy(update={"repo": "movie-tasks-tests/does-not-exist"})
    catalog = Catalog(version=1, models=(entry.model_copy(update={"source": nowhere}),))
    options = EngineOptions(catalog=catalog, models_folder=str(tmp_path), threads=2, log_level="CRITICAL")
    engine = EngineProcess(options)
    async with engine.running():
        job = RunJob(
            task_id=task_id_for("p", "x"),
            attempt=1,
            correlation_id="c",
            model="sdxl",
            params={},
            inputs={},
            folder=str(tmp_path),
        )
        [last] = await run(engine, job)
    assert isinstance(last, Failed)
    assert last.problem.code == "model-unavailable", last.problem
