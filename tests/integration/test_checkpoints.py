"""A run that was broken off and resumed ends in the same pixels, on real pipelines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from contracts.catalog import read_catalog
from contracts.media import Medium
from gpu_worker.engine import checkpoints, weights
from PIL import Image

CATALOG = read_catalog(only=["tiny-*"])
STEPS, BROKEN_OFF_AFTER = 6, 4


def a_pipeline(key: str, folder: Path, scheduler: str | None) -> Any:
    """As a process that was just started loads it."""
    entry = CATALOG[key]
    root = CATALOG[entry.shares or key]
    loaded = weights.load(root, weights.fetch(root, folder))
    pipeline = weights.assemble(entry, loaded)
    if scheduler:
        pipeline.scheduler = getattr(diffusers, scheduler).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def run(key: str, pipeline: Any, generator: torch.Generator, after_step: Callable[..., Any]) -> np.ndarray[Any, Any]:
    arguments: dict[str, Any] = {"prompt": "a red circle", "num_inference_steps": STEPS, "generator": generator}
    if CATALOG[key].medium is Medium.VIDEO:
        arguments |= {"width": 96, "height": 96, "num_frames": 9}
    if CATALOG[key].inputs:
        arguments["image"] = Image.new("RGB", (64, 64), "red")
    output = pipeline(**arguments, output_type="np", callback_on_step_end=after_step)
    frames: np.ndarray[Any, Any] = output.frames if CATALOG[key].medium is Medium.VIDEO else output.images
    return frames


def keeping(path: Path, generator: torch.Generator) -> Callable[..., Any]:
    """What a pipeline is to call after each step, so that `path` has what it is resumed from."""

    def after_step(pipe: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step + 1 == BROKEN_OFF_AFTER:
            checkpoints.write(checkpoints.take(pipe, step + 1, tensors["latents"], [generator]), path)
        return tensors

    return after_step


@pytest.mark.parametrize(
    ("key", "scheduler"),
    [
        ("tiny-image", None),
        ("tiny-image", "DPMSolverMultistepScheduler"),
        ("tiny-image", "EulerAncestralDiscreteScheduler"),
        ("tiny-image", "UniPCMultistepScheduler"),
        ("tiny-image-edit", None),
        ("tiny-video", None),
        ("tiny-video-from-image", None),
    ],
)
# Schedulers that hand tensors to numpy in a way it is about to give up.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_resumed_is_as_uninterrupted(models_folder: Path, tmp_path: Path, key: str, scheduler: str | None) -> None:
    path = tmp_path / "checkpoint.safetensors"
    pipeline, generator = a_pipeline(key, models_folder, scheduler), torch.Generator().manual_seed(3)
    uninterrupted = run(key, pipeline, generator, keeping(path, generator))

    pipeline, generator = a_pipeline(key, models_folder, scheduler), torch.Generator().manual_seed(3)
    checkpoint = checkpoints.read(path)
    assert checkpoint is not None
    resumed = checkpoints.Resumed(checkpoint, pipeline, [generator])
    with torch.inference_mode(), resumed.skipping():
        again = run(
            key, pipeline, generator, lambda _pipe, step, _timestep, tensors: resumed.after_step(step + 1, tensors)
        )
    np.testing.assert_allclose(again, uninterrupted, rtol=0, atol=1e-5)


def test_what_was_done_is_not_computed_again(models_folder: Path, tmp_path: Path) -> None:
    pipeline, generator = a_pipeline("tiny-image", models_folder, None), torch.Generator().manual_seed(3)
    calls: list[int] = []
    real = pipeline.unet.forward

    def count(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        return real(*arguments, **named)

    pipeline.unet.forward = count
    path = tmp_path / "checkpoint.safetensors"

    run("tiny-image", pipeline, generator, keeping(path, generator))
    checkpoint = checkpoints.read(path)
    assert checkpoint is not None
    calls.clear()
    resumed = checkpoints.Resumed(checkpoint, pipeline, [generator])
    with resumed.skipping():
        run("tiny-image", pipeline, generator, lambda _p, step, _t, tensors: resumed.after_step(step + 1, tensors))
    assert len(calls) == STEPS - BROKEN_OFF_AFTER


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff" * 64])
def test_a_file_that_is_no_checkpoint_is_not_used(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)
    assert checkpoints.read(path) is None
    assert checkpoints.read(tmp_path / "absent") is None
