"""What a catalog entry switches on to run faster, on real pipelines: on, named, and close to what comes out without."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts.catalog import Catalog, ModelEntry, read_catalog
from contracts.identifiers import task_id_for
from diffusers import attention_backend
from diffusers.models.attention_dispatch import _AttentionBackendRegistry
from gpu_worker.adapters.engine_process import EngineProcess
from gpu_worker.engine.failures import ModelUnusable
from gpu_worker.engine.generators import Clip, Picture, generate
from gpu_worker.engine.pipelines import Pipelines
from gpu_worker.engine.speedups import denoiser_of
from gpu_worker.protocol import Encoded, EngineOptions, Generated, RunJob
from gpu_worker.testing.conformance import run

CATALOG = read_catalog(only=["tiny-*"])
PARAMS: dict[str, dict[str, Any]] = {"tiny-image": {"steps": 8}, "tiny-video": {"frames": 9, "steps": 8}}
CACHE_OF_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
LIKENESS = 0.1
"""Of how far pictures of two seeds lie apart."""


def sped_up(model: str, **speedups: Any) -> ModelEntry:
    """The entry under a name of its own, as if it stood in the catalog's file."""
    named = {"key": f"{model}-faster", "speedups": speedups, "batching": {"max": 1}}
    return ModelEntry.model_validate(CATALOG[model].model_dump() | named)


def pipelines_of(folder: Path, *entries: ModelEntry) -> Pipelines:
    return Pipelines(Catalog(version=1, models=entries), torch.device("cpu"), folder, budget_mb=10_000)


def pixels(pipelines: Pipelines, entry: ModelEntry, seed: int = 7) -> np.ndarray[Any, Any]:
    params = entry.defaults | PARAMS[entry.key.removesuffix("-faster")] | {"prompt": "a red circle", "seed": seed}
    [made] = generate(pipelines.get(entry.key), entry, [params], {}, lambda _step, _steps: None)
    if isinstance(made, Picture):
        return np.asarray(made.image) / 255
    assert isinstance(made, Clip)
    return made.frames


def is_channels_last(pipeline: Any) -> bool:
    return bool(pipeline.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last))


def is_cached(pipeline: Any) -> bool:
    return bool(pipeline.transformer.is_cache_enabled)


def is_compiled(pipeline: Any) -> bool:
    return all(block._compiled_call_impl is not None for block in pipeline.transformer.transformer_blocks)


def has_math_attention(pipeline: Any) -> bool:
    modules = denoiser_of(pipeline).modules()
    return {module.processor._attention_backend for module in modules if hasattr(module, "processor")} == {
        "_native_math"
    }


def is_in_8_bits(pipeline: Any) -> bool:
    return any(weight.dtype is torch.float8_e4m3fn for weight in denoiser_of(pipeline).parameters())


@pytest.mark.parametrize(
    ("model", "speedups", "named", "is_on"),
    [
        ("tiny-image", {"channels_last": True}, ("channels_last",), is_channels_last),
        ("tiny-image", {"fp8_storage": True}, ("fp8_storage",), is_in_8_bits),
        ("tiny-video", {"fp8_storage": True}, ("fp8_storage",), is_in_8_bits),
        ("tiny-video", {"attention": "_native_math"}, ("attention=_native_math",), has_math_attention),
        ("tiny-video", {"first_block_cache": 0.05}, ("first_block_cache=0.05",), is_cached),
        ("tiny-video", {"compile": True}, ("compile",), is_compiled),
    ],
)
def test_what_is_faster_looks_as_without(
    models_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    speedups: dict[str, Any],
    named: tuple[str, ...],
    is_on: Callable[[Any], bool],
) -> None:
    monkeypatch.setenv(CACHE_OF_COMPILED, str(models_folder / "compiled"))
    entry, plain = sped_up(model, **speedups), CATALOG[model]
    pipelines = pipelines_of(models_folder, entry, plain)
    faster, expected, other = pixels(pipelines, entry), pixels(pipelines, plain), pixels(pipelines, plain, seed=8)
    assert [pipelines.speedups(one.key) for one in (entry, plain)] == [named, ()]
    assert [is_on(pipelines.get(one.key)) for one in (entry, plain)] == [True, False]
    assert np.abs(faster - expected).mean() < LIKENESS * np.abs(other - expected).mean()


def test_a_model_that_has_its_own_attention_leaves_the_others_theirs(models_folder: Path) -> None:
    entry = sped_up("tiny-video", attention="_native_math")
    with attention_backend("native"):
        pipelines_of(models_folder, entry).get(entry.key)
        # On a CPU the backends compute the same bits, so that only diffusers can tell what others fall back on.
        of_others, _ = _AttentionBackendRegistry.get_active_backend()
        assert of_others.value == "native"


@pytest.mark.parametrize(
    ("model", "speedups"),
    [
        ("tiny-video", {"channels_last": True}),
        ("tiny-video", {"attention": "no-such-backend"}),
        ("tiny-video", {"attention": "_native_npu"}),  # of a package for other hardware
        ("tiny-image", {"attention": "_native_math"}),
        ("tiny-image", {"first_block_cache": 0.1}),
        ("tiny-audio", {"compile": True}),
    ],
)
# Of the audio model's old way to normalise weights.
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_what_a_model_does_not_have_ends_its_tasks_for_good(
    models_folder: Path, model: str, speedups: dict[str, Any]
) -> None:
    entry = sped_up(model, **speedups)
    with pytest.raises(ModelUnusable, match="cannot be sped up as the catalog says"):
        pipelines_of(models_folder, entry).get(entry.key)


async def test_the_engine_says_what_was_on(models_folder: Path, tmp_path: Path) -> None:
    entry = sped_up("tiny-video", fp8_storage=True, first_block_cache=0.1)
    catalog = Catalog(version=1, models=(entry,))
    options = EngineOptions(catalog=catalog, models_folder=str(models_folder), threads=1, log_level="WARNING")
    engine = EngineProcess(options)
    job = RunJob(
        task_id=task_id_for("p", "a"),
        attempt=1,
        correlation_id="c",
        model=entry.key,
        params=entry.defaults | {"prompt": "a red circle", "seed": 7, "frames": 9, "steps": 2},
        inputs={},
        folder=str(tmp_path),
    )
    async with engine.running():
        reports = await run(engine, job)
    assert isinstance(reports[-1], Encoded), reports[-1]
    [execution] = [one.execution for one in reports if isinstance(one, Generated)]
    assert execution.speedups == ("fp8_storage", "first_block_cache=0.1")


@pytest.mark.parametrize("chosen", [None, "/somewhere"])
def test_what_is_compiled_is_kept_where_the_operator_wants_it_or_else_the_child(chosen: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != CACHE_OF_COMPILED}
    if chosen is not None:
        environment[CACHE_OF_COMPILED] = chosen
    says = f"import os, gpu_worker.engine.preload; print(os.environ.get({CACHE_OF_COMPILED!r}))"
    said = subprocess.run([sys.executable, "-c", says], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(chosen)
