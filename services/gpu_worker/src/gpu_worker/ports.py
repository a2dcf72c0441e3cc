"""The engine and its device as the worker's handlers see them."""

from collections.abc import AsyncGenerator, Collection
from typing import Protocol

from contracts.identifiers import ModelKey
from contracts.workers import Device, GpuReading

from gpu_worker.protocol import JobReport, RunJob


class Monitor(Protocol):
    """Looks at the GPU from outside the engine, so that it can be told of while the engine hangs."""

    def read(self) -> GpuReading | None:
        """None where there is no GPU. Takes some milliseconds: not for the event loop."""


class Place(Protocol):
    """Where the worker runs, and may be removed from when there is less to do."""

    async def mark(self, *, busy: bool) -> None:
        """Says whether others are to be removed before this one. Raises `RetryableError`."""


class Engine(Protocol):
    """Runs one job after the other on one device, apart from this process."""

    @property
    def ready(self) -> bool: ...

    @property
    def setup_failure(self) -> str | None:
        """Why it did not come up the last time it was started; nothing once it has."""

    @property
    def device(self) -> Device: ...

    @property
    def versions(self) -> dict[str, str]: ...

    @property
    def warm_models(self) -> tuple[ModelKey, ...]: ...

    @property
    def on_device(self) -> Collection[tuple[str, int]]:
        """Task attempts that were handed over and have not left the device, whether anybody follows them or not."""

    def run(self, *jobs: RunJob) -> AsyncGenerator[JobReport]:
        """The reports of each job up to its `Encoded`, `Stopped` or `Failed`, which always comes.

        Several jobs share one forward pass; they must be of one model, with parameters alike but for those given
        per item, and without inputs and originals. One that fails or is stopped does the others no harm. A child
        that dies meanwhile is replaced, and the jobs end with `Failed`. A child that broke is replaced after the
        last report. Jobs for which no child comes up end with `Stopped`.
        """

    def stop(self, task_id: str, attempt: int) -> None:
        """Asks the job to stop at its next step."""

    def show(self, task_id: str, attempt: int) -> None:
        """Asks for a picture of how far the job has come, which follows its next step as `Shown`.

        Once for each time that it is asked for, and never for what has no pictures; it does not hold up the job.
        """

    def replace(self) -> None:
        """Kills the child with whatever it does; another is started, and not waited for."""
