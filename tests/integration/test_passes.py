"""What the engine child makes of a pipeline that fails some of those who share its call."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts.catalog import read_catalog
from contracts.identifiers import task_id_for
from contracts.media import Execution
from gpu_worker.engine.child import Engine
from gpu_worker.protocol import (
    Encoded,
    EngineReady,
    Failed,
    Generated,
    JobReport,
    RunJob,
    SetupFailed,
    read_report,
)

CATALOG = read_catalog(only=["tiny-image"])
GREY = np.full((8, 8, 3), 0.5)
NO_NUMBERS = np.full((8, 8, 3), np.nan)


class Pipeline:
    """Gives everybody what `made_of` makes of their prompt, or raises what it raises."""

    num_timesteps = 1
    vae: Any = None

    def __init__(self, made_of: Callable[[list[str]], list[Any]]) -> None:
        self.made_of = made_of
        self.calls: list[list[str]] = []

    def __call__(self, prompt: Any, callback_on_step_end: Any, **_others: Any) -> Any:
        prompts = prompt if isinstance(prompt, list) else [prompt]
        self.calls.append(prompts)
        callback_on_step_end(self, 0, None, {})
        self.images = self.made_of(prompts)
        return self


class OnePipeline:
    warm = ("tiny-image",)

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.loads = 0

    def get(self, _key: str) -> Pipeline:
        self.loads += 1
        return self.pipeline

    def speedups(self, _key: str) -> tuple[str, ...]:
        return ()

    def evict(self, _needed: str) -> bool:
        return False

    def clean_up(self) -> None: ...


class Child:
    """The child's own engine around such a pipeline, and what it says."""

    def __init__(self, folder: Path, made_of: Callable[[list[str]], list[Any]]) -> None:
        self.folder = folder
        self.pipeline = Pipeline(made_of)
        self._heard, self._said = multiprocessing.Pipe(duplex=False)
        pipelines: Any = OnePipeline(self.pipeline)
        self.engine = Engine(CATALOG, pipelines, torch.device("cpu"), self._said)

    def run(self, *prompts: str) -> dict[str, list[JobReport]]:
        """The reports about each prompt's job."""
        jobs = {task_id_for("p", prompt): prompt for prompt in prompts}
        self.engine.run([self.job(task_id, prompt) for task_id, prompt in jobs.items()])
        found: dict[str, list[JobReport]] = {prompt: [] for prompt in prompts}
        while not all(reports and isinstance(reports[-1], Encoded | Failed) for reports in found.values()):
            assert self._heard.poll(10), "the child has more to say"
            report = read_report(self._heard.recv_bytes())
            assert not isinstance(report, EngineReady | SetupFailed)
            found[jobs[report.task_id]].append(report)
        return found

    def job(self, task_id: str, prompt: str) -> RunJob:
        folder = self.folder / prompt
        folder.mkdir()
        return RunJob(
            task_id=task_id,
            attempt=1,
            correlation_id="c",
            model="tiny-image",
            params={"prompt": prompt, "seed": 1},
            inputs={},
            folder=str(folder),
        )


def test_values_that_are_no_numbers_fail_their_own_task_only(tmp_path: Path) -> None:
    child = Child(tmp_path, lambda prompts: [NO_NUMBERS if prompt == "bad" else GREY for prompt in prompts])
    found = child.run("good", "bad", "better")
    [*_, failed] = found["bad"]
    assert isinstance(failed, Failed)
    assert failed.problem.code == "unusable-output"
    assert isinstance(found["good"][-1], Encoded) and isinstance(found["better"][-1], Encoded)
    assert child.pipeline.calls == [["good", "bad", "better"]], "nobody was run again"


def executions(found: dict[str, list[JobReport]]) -> list[Execution]:
    return [one.execution for reports in found.values() for one in reports if isinstance(one, Generated)]


def no_memory_for_more_than_two(prompts: list[str]) -> list[Any]:
    if len(prompts) > 2:
        raise torch.OutOfMemoryError("tried to allocate too much")
    return [GREY] * len(prompts)


def test_what_does_not_fit_together_is_run_in_halves(tmp_path: Path) -> None:
    child = Child(tmp_path, no_memory_for_more_than_two)
    found = child.run("a", "b", "c", "d")
    assert child.pipeline.calls == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"]]
    for reports in found.values():
        told = [type(report).__name__ for report in reports]
        assert told == ["Generating", "Stepped", "Generating", "Stepped", "Generated", "Encoded"]
    assert {(one.batch, one.degraded) for one in executions(found)} == {(2, ("smaller_batch",))}


class Vae:
    """Saves memory when it decodes in slices or tiles, which not every run needs."""

    slicing = tiling = False

    def enable_slicing(self) -> None:
        self.slicing = True

    def disable_slicing(self) -> None:
        self.slicing = False

    def enable_tiling(self) -> None:
        self.tiling = True

    def disable_tiling(self) -> None:
        self.tiling = False


def test_what_does_not_fit_alone_is_decoded_in_tiles_and_says_so(tmp_path: Path) -> None:
    vae = Vae()

    def only_in_tiles(_prompts: list[str]) -> list[Any]:
        if not vae.tiling:
            # As torch says it on a CPU, where it has no class of its own for it.
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return [GREY]

    child = Child(tmp_path, only_in_tiles)
    child.pipeline.vae = vae
    found = child.run("a")
    assert [one.degraded for one in executions(found)] == [("vae_slicing", "vae_tiling")]
    assert not vae.tiling, "the next run may fit without"


def test_what_fits_nowhere_fails_and_may_be_tried_on_another_worker(tmp_path: Path) -> None:
    def never(_prompts: list[str]) -> list[Any]:
        raise torch.OutOfMemoryError("tried to allocate too much")

    [*_, failed] = Child(tmp_path, never).run("a")["a"]
    assert isinstance(failed, Failed)
    assert (failed.problem.code, failed.problem.retryable) == ("gpu-out-of-memory", True)


def broken_device(_prompts: list[str]) -> list[Any]:
    raise RuntimeError("CUDA error: device-side assert triggered")


def test_a_broken_device_is_not_tried_again(tmp_path: Path) -> None:
    child = Child(tmp_path, broken_device)
    found = child.run("a", "b")
    lasts = [reports[-1] for reports in found.values()]
    assert [isinstance(last, Failed) and last.broken for last in lasts] == [True, True]
    assert len(child.pipeline.calls) == 1


@pytest.mark.parametrize("different", ["steps", "width"])
def test_what_must_be_alike_and_is_not_does_not_share_a_call(tmp_path: Path, different: str) -> None:
    child = Child(tmp_path, lambda prompts: [GREY] * len(prompts))
    jobs = [child.job(task_id_for("p", prompt), prompt) for prompt in "ab"]
    jobs[1] = jobs[1].model_copy(update={"params": {**jobs[1].params, different: 16}})
    child.engine.run(jobs)
    assert child.pipeline.calls == [["a"], ["b"]]
