"""Weights and inputs that cannot be used, with the real engine child: each says what to do, and the next job runs."""

import asyncio
import os
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from contracts.catalog import Catalog, FolderSource, ModelEntry, read_catalog
from contracts.identifiers import task_id_for
from gpu_worker.adapters.engine_process import EngineProcess
from gpu_worker.engine import weights
from gpu_worker.engine.failures import ModelUnusable
from gpu_worker.protocol import Encoded, EngineOptions, Failed, RunJob
from gpu_worker.testing.conformance import run
from PIL import Image
from safetensors.numpy import load_file, save_file

[TINY, EDIT] = read_catalog(only=["tiny-image", "tiny-image-edit"]).models
UNET = "unet/diffusion_pytorch_model.safetensors"


def cut_off(folder: Path) -> None:
    os.truncate(folder / UNET, (folder / UNET).stat().st_size // 2)


def scramble(folder: Path) -> None:
    (folder / UNET).write_bytes(b"\xff" * 1000)


def lose(folder: Path) -> None:
    (folder / UNET).unlink()


def misconfigure(folder: Path) -> None:
    config = folder / "unet/config.json"
    config.write_text(config.read_text().replace('"cross_attention_dim": ', '"cross_attention_dim": 1'))


def empty_out(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def forget_numbers(folder: Path) -> None:
    tensors = load_file(folder / UNET)
    tensors["conv_out.bias"] *= float("nan")
    save_file(tensors, folder / UNET, {"format": "pt"})


BROKEN: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "cut-off": (cut_off, "model-unusable", "corrupt or cut off"),
    "scrambled": (scramble, "model-unusable", "corrupt or cut off"),
    "incomplete": (lose, "model-unusable", "not a whole StableDiffusionPipeline"),
    "misfitting": (misconfigure, "model-unusable", "not a whole StableDiffusionPipeline"),
    "empty": (empty_out, "model-unusable", "there is no model_index.json in empty"),
    "absent": (shutil.rmtree, "model-unusable", "there is no model_index.json in absent"),
    "no-numbers": (forget_numbers, "unusable-output", "no numbers"),
}


def _entry(key: str, **changes: Any) -> ModelEntry:
    return TINY.model_copy(update={"key": key, "source": FolderSource(kind="folder", path=key), **changes})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    whole = weights.fetch(TINY, folder)
    for name, (breaking, _, _) in BROKEN.items():
        shutil.copytree(whole, folder / name)
        breaking(folder / name)
    return folder


@pytest.fixture
def catalog() -> Catalog:
    huge = _entry("huge", needs=TINY.needs.model_copy(update={"vram_mb": 10_000_000}))
    return Catalog(version=1, models=(TINY, EDIT, huge, *(_entry(name) for name in BROKEN)))


@pytest.fixture
async def engine(models: Path, catalog: Catalog) -> AsyncIterator[EngineProcess]:
    process = EngineProcess(EngineOptions(catalog=catalog, models_folder=str(models), threads=2, log_level="CRITICAL"))
    async with process.running():
        yield process


@pytest.fixture
def a_job(tmp_path: Path) -> Callable[..., RunJob]:
    def make(model: str, **inputs: Path) -> RunJob:
        params = {"prompt": "a red circle", "seed": 7, "steps": 2, "guidance": 5.0}
        return RunJob(
            task_id=task_id_for("p", model),
            attempt=1,
            correlation_id="c",
            model=model,
            params=params,
            inputs={name: str(path) for name, path in inputs.items()},
            folder=str(tmp_path),
        )

    return make


async def failure(engine: EngineProcess, job: RunJob) -> Failed:
    [*_, last] = await run(engine, job)
    assert isinstance(last, Failed), last
    assert not last.problem.retryable
    assert not last.device_fault
    return last


async def test_unusable_weights_fail_for_good_and_the_engine_lives_on(
    engine: EngineProcess, a_job: Callable[..., RunJob]
) -> None:
    child = None
    for name, (_, code, said) in BROKEN.items():
        last = await failure(engine, a_job(name))
        assert (last.problem.code, name) == (code, name)
        assert said in last.problem.detail
        child = child or engine.process_id
    assert isinstance((await run(engine, a_job("tiny-image")))[-1], Encoded)
    assert engine.process_id == child, "no child had to be replaced"


async def test_a_model_larger_than_the_device_is_not_tried(engine: EngineProcess, a_job: Callable[..., RunJob]) -> None:
    last = await failure(engine, a_job("huge"))
    assert last.problem.code == "too-large-for-device"
    assert "10000000 MB" in last.problem.detail


async def test_a_picture_of_too_many_pixels_is_not_unpacked(
    engine: EngineProcess, a_job: Callable[..., RunJob], tmp_path: Path
) -> None:
    Image.new("1", (40_000, 2_000)).save(tmp_path / "huge.png")
    last = await failure(engine, a_job("tiny-image-edit", image=tmp_path / "huge.png"))
    assert last.problem.code == "unusable-input"
    assert "40000 x 2000 pixels" in last.problem.detail


async def test_a_worker_that_cannot_load_what_it_must_preload_says_which(models: Path, catalog: Catalog) -> None:
    options = EngineOptions(
        catalog=catalog, models_folder=str(models), threads=2, preload=("cut-off",), log_level="CRITICAL"
    )
    engine = EngineProcess(options)
    async with engine.running(), asyncio.timeout(60):
        while engine.setup_failure is None:
            await asyncio.sleep(0.05)
    assert "weights of cut-off are corrupt or cut off" in engine.setup_failure
    assert not engine.ready


async def test_what_is_preloaded_is_warm_before_the_first_job(models: Path, catalog: Catalog) -> None:
    options = EngineOptions(
        catalog=catalog, models_folder=str(models), threads=2, preload=("tiny-image",), log_level="CRITICAL"
    )
    engine = EngineProcess(options)
    async with engine.running(), asyncio.timeout(60):
        while not engine.ready:
            await asyncio.sleep(0.05)
        assert engine.warm_models == ("tiny-image", "tiny-image-edit")


class Hub(BaseHTTPRequestHandler):
    """A model hub that knows one repository, and no revision of it."""

    def do_GET(self) -> None:
        known = "/known/model" in self.path
        self.send_response(404)
        self.send_header("X-Error-Code", "RevisionNotFound" if known else "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Nothing: the test says what matters."""


@contextmanager
def hub() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("repo", "said"),
    [("known/model", "the hub has no known/model at revision"), ("unknown/model", "the hub has no unknown/model")],
)
async def test_a_wrong_revision_or_repository_is_said_by_the_prefetching_command(
    tmp_path: Path, repo: str, said: str
) -> None:
    catalog = tmp_path / "catalog.yaml"
    [sdxl] = read_catalog(only=["sdxl"]).models
    source = sdxl.source.model_copy(update={"repo": repo, "revision": "0" * 40})
    catalog.write_text(
        Catalog(version=1, models=(sdxl.model_copy(update={"source": source}),)).model_dump_json(exclude_none=True)
    )
    with hub() as endpoint:
        command = [sys.executable, "-m", "gpu_worker.engine.prefetch", str(tmp_path), "--catalog", str(catalog)]
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "no_proxy": "*"}
        process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
        _, told = await process.communicate()
    assert process.returncode == 1
    assert said in told.decode()


def test_a_download_that_differs_from_what_was_published_is_found(tmp_path: Path) -> None:
    blob = tmp_path / ("0" * 64)
    blob.write_bytes(b"not what it says")
    with pytest.raises(ModelUnusable, match="is not what was published"):
        weights.verify(tmp_path)
