"""What scheduling's handlers need of their private tables and of their picture of the workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from contracts.media import Medium
from contracts.tasks import Phase, Task
from contracts.workers import WorkerStatus

from scheduling.domain.company import Company
from scheduling.domain.leading import Leadership
from scheduling.domain.usage import Usage


@dataclass(frozen=True)
class Entry:
    """A task that has not ended, as scheduling keeps it."""

    task_id: str
    project_id: str
    medium: Medium
    model: str
    rank: int
    phase: Phase
    phase_heard_at: datetime
    """When scheduling heard of the phase, by its own clock."""
    attempt: int
    seq: int
    worker_id: str | None
    since: datetime
    company: Company
    outgrown_mb: int
    """The memory of the largest device that an attempt did not fit."""


class Queue(Protocol):
    """Every task that has not ended, as far as was heard. Replicas share it."""

    async def hear(self, task: Task, now: datetime, look_again_at: datetime) -> bool:
        """Keeps what was heard of the task if it is news, and says whether it was.

        Charges the project with the GPU time that nobody has charged yet.
        """

    async def correct(self, task: Task, heard_seq: int, now: datetime, look_again_at: datetime) -> None:
        """Keeps the record as it was read in place of what was heard as `heard_seq`. Charges likewise."""

    async def forget(self, task_id: str, ended_at_seq: int, now: datetime) -> None:
        """Lets go of what has ended, unless it has come back to life since."""

    async def sweep(self, now: datetime) -> None:
        """Drops what was let go of long enough ago for nothing late to be heard of it."""

    async def remove(self, task_id: str) -> None:
        """Drops what has no record."""

    async def ready(self, medium: Medium, now: datetime, most_alike: int) -> Sequence[Entry]:
        """Tasks that may start: of each project, priority and model the `most_alike` longest waiting."""

    async def held(self, medium: Medium) -> Sequence[Entry]:
        """Tasks that workers have: assigned to one, or being run."""

    async def look_again(self, task_id: str, at: datetime) -> None:
        """Nobody looks again at what was let go of."""

    async def renew(self, worker_id: str, runs: Sequence[tuple[str, int]], until: datetime) -> None:
        """Puts off the look at these task attempts of the worker."""

    async def renew_all(self, until: datetime) -> None:
        """Puts off the look at everything that workers have."""

    async def due(self, now: datetime) -> Sequence[Entry]: ...

    async def next_due(self) -> datetime | None: ...


class Ledger(Protocol):
    """What projects have used lately."""

    async def all(self) -> dict[str, Usage]: ...


@dataclass(frozen=True)
class HeardWorker:
    status: WorkerStatus
    heard_at: datetime


class Workers(Protocol):
    def heard(self, worker: WorkerStatus, at: datetime) -> None: ...

    def available(self, medium: Medium) -> Sequence[HeardWorker]:
        """Those heard of lately that take work."""


class Leaderships(Protocol):
    """Where it is written down who leads."""

    async def read(self) -> Leadership | None: ...

    async def swap(self, found: Leadership | None, claimed: Leadership) -> bool:
        """Writes the claim if exactly what was found still stands there; says whether it did."""
