"""Doing with less memory what did not fit: one rung of the ladder after the other, each slower than the last."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
import torch

log = structlog.get_logger(__name__)

Output = TypeVar("Output")
Item = TypeVar("Item")

OUT_OF_MAIN_MEMORY = "can't allocate memory"
"""What torch says on a CPU, where it has no error of its own for it."""


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or OUT_OF_MAIN_MEMORY in str(error)


def halves(items: Sequence[Item]) -> list[Sequence[Item]]:
    middle = (len(items) + 1) // 2
    return [half for half in (items[:middle], items[middle:]) if half]


@dataclass(frozen=True)
class Rung:
    """A way to need less memory, which is given up again after the run: the next one may fit without."""

    name: str
    take: Callable[[], None]
    leave: Callable[[], None]


def rungs(pipeline: Any, device: torch.device) -> list[Rung]:
    """What this pipeline has, the least costly first."""
    found = []
    vae: Any = getattr(pipeline, "vae", None)
    if hasattr(vae, "enable_slicing"):
        found.append(Rung("vae_slicing", vae.enable_slicing, vae.disable_slicing))
    if hasattr(vae, "enable_tiling"):
        found.append(Rung("vae_tiling", vae.enable_tiling, vae.disable_tiling))
    if device.type == "cuda":
        found.append(Rung("cpu_offload", lambda: _offload(pipeline, device), lambda: _bring_back(pipeline, device)))
    return found


def _offload(pipeline: Any, device: torch.device) -> None:
    pipeline.enable_model_cpu_offload(device=device)


def _bring_back(pipeline: Any, device: torch.device) -> None:
    pipeline.remove_all_hooks()
    pipeline.to(device)


@dataclass
class Ladder:
    """Remembers how far down which kind of run had to go, so that the next of its kind begins there."""

    clean_up: Callable[[], None]
    _needed: dict[str, int] = field(default_factory=dict)

    def run(self, kind: str, ways: Sequence[Rung], attempt: Callable[[], Output]) -> tuple[Output, tuple[str, ...]]:
        """What `attempt` returns, and the rungs it took. Raises what it raises when no rung is left."""
        taken: list[Rung] = []
        try:
            while True:
                while len(taken) < self._needed.get(kind, 0):
                    taken.append(ways[len(taken)])
                    taken[-1].take()
                try:
                    return attempt(), tuple(rung.name for rung in taken)
                except Exception as error:
                    if not is_out_of_memory(error) or len(taken) == len(ways):
                        raise
                    # The traceback holds on to the tensors of the run that did not fit.
                    error.__traceback__ = None
                log.warning("out of memory; tried again with less", kind=kind, rung=ways[len(taken)].name)
                self.clean_up()
                self._needed[kind] = len(taken) + 1
        finally:
            for rung in reversed(taken):
                rung.leave()
