"""Doing with less memory what did not fit: one rung of the ladder after the other, each slower than the last."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import psutil
import structlog
import torch
from contracts.workers import MB

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


class Gauge(Protocol):
    """The device's memory, in MB."""

    def free(self) -> int: ...

    def peak(self) -> int:
        """The most that was taken since `begin`, over what was taken then; 0 where it cannot be measured."""

    def begin(self) -> None: ...


class CpuGauge:
    """Main memory, which the whole machine shares: what one run takes of it at most cannot be told apart."""

    def free(self) -> int:
        available: int = psutil.virtual_memory().available
        return available // MB

    def peak(self) -> int:
        return 0

    def begin(self) -> None:
        """Nothing to begin with."""


class CudaGauge:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = 0

    def free(self) -> int:
        free, _ = torch.cuda.mem_get_info(self._device)
        # What torch holds and nothing uses is as good as free.
        idle = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(free + idle) // MB

    def peak(self) -> int:
        return int(torch.cuda.max_memory_allocated(self._device) - self._before) // MB

    def begin(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)
        self._before = torch.cuda.memory_allocated(self._device)


@dataclass
class Admission:
    """Makes room before a run begins, by what its kind took the last time: failing costs more than asking."""

    gauge: Gauge
    _peaks: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def run(self, kind: str, evict: Callable[[], bool]) -> Iterator[None]:
        """`evict` unloads a model that the run does not need, and is false when there is none."""
        while self.gauge.free() < self._peaks.get(kind, 0) and evict():
            log.info("a model is unloaded to make room for a run", kind=kind, needs_mb=self._peaks[kind])
        self.gauge.begin()
        yield
        self._peaks[kind] = self.gauge.peak()


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
