"""The engine as the worker's handlers see it."""

from collections.abc import AsyncGenerator, Collection
from typing import Protocol

from contracts.identifiers import ModelKey
from contracts.workers import Device

from gpu_worker.protocol import JobReport, RunJob


class Engine(Protocol):
    """Runs one job after the other on one device, apart from this process."""

    @property
    def ready(self) -> bool: ...

    @property
    def device(self) -> Device: ...

    @property
    def versions(self) -> dict[str, str]: ...

    @property
    def warm_models(self) -> tuple[ModelKey, ...]: ...

    @property
    def on_device(self) -> Collection[tuple[str, int]]:
        """Task attempts that were handed over and have not left the device, whether anybody follows them or not."""

    def run(self, job: RunJob) -> AsyncGenerator[JobReport]:
        """The job's reports up to `Encoded`, `Stopped` or `Failed`, which always comes.

        A child that dies meanwhile is replaced, and the job ends with `Failed`.
        """

    def stop(self, task_id: str, attempt: int) -> None:
        """Asks the job to stop at its next step."""

    async def replace(self) -> None:
        """Kills the child with whatever it does and starts another."""
