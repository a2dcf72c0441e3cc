"""What of a task's life is counted, and as what."""

from contracts.errors import Problem
from contracts.tasks import Phase, Task

COLD_START, HANDED_BACK, CANCELLED, UNKNOWN = "cold_start", "handed_back", "cancelled", "unknown"
REQUEST, PLATFORM = "request", "platform"
REQUESTS_FAULT = frozenset(
    {
        "invalid-request",
        "not-found",
        "pipeline-refused",
        "time-limit-exceeded",
        "too-large-for-device",
        "unsupported-media",
        "unusable-input",
    }
)
"""Problems of what was asked for: another platform would have failed at it, too."""
WAITING = (Phase.QUEUED, Phase.ASSIGNED, Phase.RETRY_WAIT)
RENDERING = (Phase.LOADING_MODEL, Phase.GENERATING)


def waited(task: Task) -> float | None:
    """How long it waited for a worker, if its first run has just begun."""
    if task.phase not in RENDERING or any(phase in task.phase_seconds for phase in RENDERING):
        return None
    return sum(task.phase_seconds.get(phase, 0.0) for phase in WAITING)


def failure(task: Task) -> str | None:
    """Why its last attempt failed, by the problem's code, if it did."""
    return _code(task.error) if task.phase in (Phase.RETRY_WAIT, Phase.FAILED) else None


def blame(task: Task) -> str | None:
    """Whose fault it is that the task has failed for good, if it has."""
    if task.phase is not Phase.FAILED:
        return None
    return REQUEST if _code(task.error) in REQUESTS_FAULT else PLATFORM


def wasted_by(task: Task) -> str | None:
    """Why the GPU time of the phase that it has just left came to nothing; None if something is left of it."""
    match task.phase:
        case Phase.GENERATING:
            return COLD_START
        case Phase.RETRY_WAIT | Phase.FAILED:
            return _code(task.error)
        case Phase.QUEUED:
            return HANDED_BACK
        case Phase.CANCELLED:
            return CANCELLED
        case _:
            return None


def _code(error: Problem | None) -> str:
    return error.code if error else UNKNOWN
