"""What an exception in a generation means: again, or never, and is the device still usable."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import Problem

from gpu_worker.engine.memory import is_out_of_memory
from gpu_worker.protocol import OUT_OF_MEMORY

STICKY_CUDA_ERRORS = ("device-side assert", "illegal memory access", "unspecified launch failure", "cudaErrorECC")


class UnusableOutput(Exception):
    """The pipeline returned numbers that are no picture and no sound."""


class UnusableInput(Exception):
    """An input file cannot be read as what the model takes."""


class ModelUnusable(Exception):
    """The model's files are missing, corrupt, or not of the model: an operator must act."""


class ModelAway(Exception):
    """The model's files are not on this node and cannot be fetched at this moment."""


class TooLarge(Exception):
    """What was asked for needs more memory than the whole device has."""


@dataclass(frozen=True)
class Failure:
    problem: Problem
    broken: bool = False
    """Whether the process that met it is of no more use."""
    device_fault: bool = False


def classify(error: BaseException) -> Failure:
    text = str(error)
    if is_out_of_memory(error):
        return _failure(OUT_OF_MEMORY, "Not enough GPU memory", text, retryable=True)
    if any(sign in text for sign in STICKY_CUDA_ERRORS):
        return _failure("gpu-fault", "The GPU reported an error", text, retryable=True, broken=True, device_fault=True)
    if isinstance(error, MemoryError):
        return _failure("out-of-memory", "Not enough memory", text, retryable=True, broken=True)
    if isinstance(error, UnusableOutput):
        return _failure("unusable-output", "The model produced no usable media", text, retryable=False)
    if isinstance(error, UnusableInput):
        return _failure("unusable-input", "An input file cannot be used", text, retryable=False)
    if isinstance(error, ModelUnusable):
        return _failure("model-unusable", "The model's files cannot be used", text, retryable=False)
    if isinstance(error, ModelAway):
        return _failure("model-unavailable", "The model's files cannot be fetched now", text, retryable=True)
    if isinstance(error, TooLarge):
        return _failure("too-large-for-device", "More memory is needed than the device has", text, retryable=False)
    if isinstance(error, ValueError | TypeError | KeyError | AttributeError):
        return _failure("pipeline-refused", "The pipeline refused the parameters", text, retryable=False)
    return _failure("generation-failed", "The generation failed", f"{type(error).__name__}: {text}", retryable=True)


def _failure(
    code: str, title: str, detail: str, *, retryable: bool, broken: bool = False, device_fault: bool = False
) -> Failure:
    return Failure(Problem.of(code, title, _short(detail), retryable=retryable), broken, device_fault)


def _short(text: str, limit: int = 500) -> str:
    lines: Sequence[str] = [line.strip() for line in text.splitlines() if line.strip()] or ["no further details"]
    joined = " ".join(lines)
    return joined if len(joined) <= limit else joined[:limit] + "…"
