"""Pictures of unfinished results by the real engine: of every medium that has pictures, and without a trace in the
result."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts.catalog import read_catalog
from gpu_worker.adapters.engine_process import EngineProcess
from gpu_worker.engine import showing
from gpu_worker.engine.child import Engine
from gpu_worker.engine.drawing import LONGEST_SIDE, MOST_LATENTS, Unfinished, draw
from gpu_worker.engine.generators import generate
from gpu_worker.engine.pipelines import Pipelines
from gpu_worker.protocol import Encoded, EngineOptions, JobReport, RunJob, Shown, Stepped
from PIL import Image

from tests.integration.test_engine import CATALOG, a_job
from tests.integration.test_passes import Child

LARGEST = 10 * 1024


@pytest.fixture
async def engine(models_folder: Path) -> AsyncIterator[EngineProcess]:
    options = EngineOptions(catalog=CATALOG, models_folder=str(models_folder), threads=1, log_level="WARNING")
    process = EngineProcess(options)
    async with process.running():
        yield process


async def run(engine: EngineProcess, job: RunJob, *, seen: bool) -> tuple[list[Shown], JobReport]:
    Path(job.folder).mkdir()
    shown: list[Shown] = []
    async for report in engine.run(job):
        if isinstance(report, Stepped) and seen:
            engine.show(job.task_id, job.attempt)
        if isinstance(report, Shown):
            shown.append(report)
    return shown, report


@pytest.mark.parametrize(
    ("model", "params", "size"),
    [
        ("tiny-image", {"steps": 20, "width": 256, "height": 192}, (256, 192)),
        ("tiny-video", {"steps": 20, "width": 192, "height": 96}, (192, 96)),
    ],
)
async def test_is_a_small_picture_and_changes_nothing(
    engine: EngineProcess, tmp_path: Path, model: str, params: dict[str, Any], size: tuple[int, int]
) -> None:
    shown, watched = await run(engine, a_job(tmp_path / "watched", model, **params), seen=True)
    none, alone = await run(engine, a_job(tmp_path / "alone", model, **params), seen=False)
    assert isinstance(watched, Encoded) and isinstance(alone, Encoded)
    assert watched.sha256 == alone.sha256
    assert len(shown) > 2 and not none
    with Image.open(shown[-1].path) as image:
        assert (image.format, image.size) == ("WEBP", size)
    assert max(Path(one.path).stat().st_size for one in shown) < LARGEST


async def test_sounds_have_no_picture(engine: EngineProcess, tmp_path: Path) -> None:
    shown, made = await run(engine, a_job(tmp_path / "sound", "tiny-audio", steps=10), seen=True)
    assert isinstance(made, Encoded)
    assert not shown


@pytest.fixture(scope="module")
def pipelines(models_folder: Path) -> Pipelines:
    return Pipelines(read_catalog(only=["tiny-*"]), torch.device("cpu"), models_folder, 10_000)


@pytest.mark.parametrize("model", ["tiny-image", "tiny-video"])
def test_the_last_picture_is_like_the_result(pipelines: Pipelines, model: str) -> None:
    seen: list[Image.Image] = []

    def look(unfinished: Unfinished) -> None:
        image = draw(unfinished, 0)
        assert image is not None
        seen.append(image)

    entry = CATALOG[model]
    params = entry.defaults | {"prompt": "a red circle moving right", "seed": 3}
    [made] = generate(pipelines.get(model), entry, [params], {}, lambda _step, _total: None, None, look)
    result = made.image if hasattr(made, "image") else made.frames[len(made.frames) // 2]  # type: ignore[union-attr]
    result = np.asarray(result, dtype=float)
    result = result / 255 if result.max() > 1 else result
    last = np.asarray(seen[-1], dtype=float) / 255
    assert last.shape == result.shape
    assert np.abs(last - result).mean() < 0.1
    assert np.abs(np.asarray(seen[0], dtype=float) / 255 - result).mean() > np.abs(last - result).mean()


def test_large_latents_are_made_small_first(pipelines: Pipelines) -> None:
    pipeline = pipelines.get("tiny-image")
    channels = pipeline.vae.config.latent_channels
    decoded = []
    decode = pipeline.vae.decode

    def remember(latents: torch.Tensor, **given: bool) -> object:
        decoded.append(tuple(latents.shape))
        return decode(latents, **given)

    pipeline.vae.decode = remember
    try:
        with torch.inference_mode():
            image = draw(Unfinished(pipeline, {}, 1, torch.randn(2, channels, 128, 64)), 1)
    finally:
        pipeline.vae.decode = decode
    assert decoded == [(1, channels, MOST_LATENTS, MOST_LATENTS // 2)]
    assert image is not None and max(image.size) == LONGEST_SIDE


class TestInTheChild:
    def test_nothing_is_drawn_unless_it_was_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(showing, "draw", _never)
        child = Child(tmp_path, lambda prompts: [np.full((8, 8, 3), 0.5) for _ in prompts])
        assert isinstance(child.run("a")["a"][-1], Encoded)

    def test_a_picture_that_cannot_be_drawn_costs_the_run_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(showing, "draw", _out_of_memory)
        monkeypatch.setattr(Engine, "run", _asking(Engine.run))
        child = Child(tmp_path, lambda prompts: [np.full((8, 8, 3), 0.5) for _ in prompts])
        reports = child.run("a")["a"]
        assert isinstance(reports[-1], Encoded)
        assert not [report for report in reports if isinstance(report, Shown)]
        assert "a preview cannot be drawn" in caplog.text


def _never(*_given: object) -> None:
    raise AssertionError("nobody asked")


def _out_of_memory(*_given: object) -> None:
    raise torch.OutOfMemoryError("tried to allocate too much")


def _asking(run: object) -> object:
    def asked(engine: Engine, jobs: list[RunJob], *more: object) -> object:
        engine._to_be_shown.update((job.task_id, job.attempt) for job in jobs)
        return run(engine, jobs, *more)  # type: ignore[operator]

    return asked
