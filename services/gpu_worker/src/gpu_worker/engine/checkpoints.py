"""What a run must keep to be finished by another process: latents, the scheduler's memory, the generators.

Resuming goes through the pipeline's own loop, so that it holds for every pipeline with a callback at the end of a
step: the steps that were done before are walked through with a denoiser that computes nothing, and at the last of
them everything is put back as it was.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gpu_worker.engine.speedups import denoiser_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """`step` steps of the run are done."""

    step: int
    latents: torch.Tensor
    generators: tuple[torch.Tensor, ...]
    scheduler: Mapping[str, Any]
    """Its attributes that are tensors, lists of tensors, or plain values."""


def take(pipeline: Any, step: int, latents: torch.Tensor, generators: Sequence[torch.Generator]) -> Checkpoint:
    memory = {name: value for name, value in vars(pipeline.scheduler).items() if _can_be_kept(value)}
    return Checkpoint(step, latents, tuple(generator.get_state() for generator in generators), memory)


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Leaves a whole file or none. Tensors and JSON: reading it runs nobody's code."""
    tensors = {"latents": checkpoint.latents}
    tensors |= {f"generator/{n}": state for n, state in enumerate(checkpoint.generators)}
    plain: dict[str, Any] = {}
    for name, value in checkpoint.scheduler.items():
        match value:
            case torch.Tensor():
                tensors[f"scheduler/{name}"] = value
            case list():
                plain[name] = [None if one is None else f"list/{name}/{n}" for n, one in enumerate(value)]
                tensors |= {f"list/{name}/{n}": one for n, one in enumerate(value) if one is not None}
            case _:
                plain[name] = value
    partial = path.with_suffix(".part")
    about = {"step": str(checkpoint.step), "scheduler": json.dumps(plain)}
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, partial, about)
    partial.replace(path)


def read(path: Path) -> Checkpoint | None:
    """Nothing for a file that is not a whole checkpoint: the run then begins from its first step."""
    try:
        with safe_open(path, framework="pt") as file:
            about, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        scheduler = {
            name: [None if one is None else tensors[one] for one in value] if isinstance(value, list) else value
            for name, value in json.loads(about["scheduler"]).items()
        }
        scheduler |= {name.removeprefix("scheduler/"): one for name, one in tensors.items() if "scheduler/" in name}
        states = [name for name in tensors if name.startswith("generator/")]
        generators = tuple(tensors[f"generator/{n}"] for n in range(len(states)))
        return Checkpoint(int(about["step"]), tensors["latents"], generators, scheduler)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        log.warning("a checkpoint cannot be used", path=str(path), reason=str(error))
        return None


class Resumed:
    """A run that goes on from a checkpoint."""

    def __init__(self, checkpoint: Checkpoint, pipeline: Any, generators: Sequence[torch.Generator]) -> None:
        self._checkpoint = checkpoint
        self._pipeline = pipeline
        self._generators = generators
        self._denoiser = denoiser_of(pipeline)
        self._forward: Any = None

    @contextmanager
    def skipping(self) -> Iterator[None]:
        """While the pipeline is called."""
        self._forward = self._denoiser.forward
        self._denoiser.forward = _nothing
        try:
            yield
        finally:
            self._denoiser.forward = self._forward

    def after_step(self, done: int, tensors: dict[str, Any]) -> dict[str, Any]:
        """What the pipeline goes on with."""
        if done != self._checkpoint.step:
            return tensors
        self._denoiser.forward = self._forward
        for name, value in self._checkpoint.scheduler.items():
            setattr(self._pipeline.scheduler, name, _on(value, tensors["latents"].device))
        for generator, state in zip(self._generators, self._checkpoint.generators, strict=True):
            generator.set_state(state)
        return {**tensors, "latents": self._checkpoint.latents.to(tensors["latents"])}


class Keeper:
    """Saves a run every so many seconds, and begins it where an earlier attempt had come to."""

    def __init__(
        self, every_seconds: float, folder: Path, start: Checkpoint | None, saved: Callable[[int, Path], None]
    ) -> None:
        self.first_step = start.step if start else 0
        self._every_seconds = every_seconds
        self._folder = folder
        self._start = start
        self._saved = saved
        self._saved_at = time.monotonic()
        self._generators: Sequence[torch.Generator] = ()
        self._resumed: Resumed | None = None

    @contextmanager
    def around(self, pipeline: Any, generators: Sequence[torch.Generator]) -> Iterator[None]:
        """While the pipeline is called."""
        self._generators, self._saved_at = generators, time.monotonic()
        if self._start is None:
            yield
            return
        self._resumed = Resumed(self._start, pipeline, generators)
        with self._resumed.skipping():
            yield

    def after_step(self, pipeline: Any, done: int, tensors: dict[str, Any]) -> dict[str, Any]:
        """What the pipeline goes on with."""
        if self._resumed is not None and done <= self.first_step:
            return self._resumed.after_step(done, tensors)
        due = time.monotonic() - self._saved_at >= self._every_seconds
        if due and done < pipeline.num_timesteps:
            path = self._folder / f"checkpoint-{done}.safetensors"
            write(take(pipeline, done, tensors["latents"], self._generators), path)
            self._saved(done, path)
            self._saved_at = time.monotonic()
        return tensors


def _nothing(sample: Any = None, *_: Any, hidden_states: Any = None, **__: Any) -> tuple[torch.Tensor]:
    return (torch.zeros_like(sample if hidden_states is None else hidden_states),)


def _can_be_kept(value: Any) -> bool:
    if isinstance(value, list):
        return all(one is None or isinstance(one, torch.Tensor) for one in value)
    return value is None or isinstance(value, (torch.Tensor, int, float, str))


def _on(value: Any, device: torch.device) -> Any:
    """Where the run is: a scheduler keeps its short tables on the CPU, which suits every device."""
    match value:
        case torch.Tensor() if value.dim() > 1:
            return value.to(device)
        case list():
            return [_on(one, device) for one in value]
        case _:
            return value
