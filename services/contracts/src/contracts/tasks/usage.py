"""What a task has used of devices, and what of that came to nothing."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from contracts.tasks.record import Phase, Task

ON_THE_GPU = (Phase.LOADING_MODEL, Phase.GENERATING, Phase.ENCODING)


class Waste(StrEnum):
    """Why device time came to nothing."""

    COLD_START = "cold_start"
    """A model was loaded first."""
    RETRIED = "retried"
    """Attempts before the one that was done."""
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_ENDED_IN_VAIN: Mapping[Phase, Waste] = MappingProxyType(
    {Phase.FAILED: Waste.FAILED, Phase.CANCELLED: Waste.CANCELLED, Phase.EXPIRED: Waste.EXPIRED}
)


def gpu_seconds(task: Task) -> float:
    """What the task's attempts so far have cost: of what was shared with others, its own part."""
    return sum(task.phase_seconds.get(phase, 0.0) for phase in ON_THE_GPU) - task.shared_seconds


def wasted_seconds(task: Task) -> dict[Waste, float]:
    """What of its `gpu_seconds` came to nothing, by cause; of an open task nothing is known yet."""
    used = max(0.0, gpu_seconds(task))
    if (cause := _ENDED_IN_VAIN.get(task.phase)) is not None:
        return {cause: used} if used else {}
    if task.phase is not Phase.DONE:
        return {}
    loading = min(used, task.phase_seconds.get(Phase.LOADING_MODEL, 0.0))
    wasted = {Waste.COLD_START: loading, Waste.RETRIED: min(used - loading, _before_the_last_attempt(task))}
    return {cause: seconds for cause, seconds in wasted.items() if seconds > 0}


def _before_the_last_attempt(task: Task) -> float:
    """The record adds up all attempts; how long the last one generated, its worker has told."""
    if task.attempt == 1 or task.produced is None:
        return 0.0
    return max(0.0, task.phase_seconds.get(Phase.GENERATING, 0.0) - task.produced.provenance.generate_seconds)
