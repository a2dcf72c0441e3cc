"""What scheduling's handlers need of their private tables and of their picture of the workers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from contracts.budgets import Spending
from contracts.media import Medium
from contracts.pauses import Pauses
from contracts.projects import Project
from contracts.tasks import Phase, Priority, Task
from contracts.workers import WorkerStatus

from scheduling.domain.backlog import Kind
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
    look_at: datetime | None
    """None once it is let go of."""
    attempt: int
    seq: int
    worker_id: str | None
    since: datetime
    company: Company
    outgrown_mb: int
    """The memory of the largest device that an attempt did not fit."""
    series_id: str | None
    held: bool
    """Its time has come, and it waits for another instance of its series to end."""


@dataclass(frozen=True)
class Backlog:
    """How much there is to do, and how many are at it."""

    queued: Mapping[Kind, int]
    """Tasks whose time has come."""
    running: Mapping[Kind, int]
    """Tasks that workers have."""
    busy_workers: Mapping[tuple[Medium, str], int]
    """Workers that have any, by medium and model."""


@dataclass(frozen=True)
class News:
    """What was heard of a task, by whichever replica heard it first."""

    task: Task
    new_phase: bool
    """Whether it is in another phase, or another attempt, than was heard before."""
    charged_seconds: float
    """GPU time that its project was charged for it."""


class Depth(NamedTuple):
    """How many tasks of a project and priority may start and have not."""

    medium: Medium
    project_id: str
    priority: Priority
    tasks: int
    oldest: datetime
    """Since when the longest of them has waited."""


class Queue(Protocol):
    """Every task that has not ended, as far as was heard. Replicas share it."""

    async def hear(self, task: Task, now: datetime, look_again_at: datetime) -> bool:
        """Keeps what was heard of the task if it is news, and says whether it was.

        Charges the project with the GPU time that nobody has charged yet.
        """

    async def correct(
        self, task: Task, heard_seq: int, now: datetime, look_again_at: datetime, seen_look_at: datetime | None = None
    ) -> None:
        """Keeps the record as it was read in place of what was heard as `heard_seq`. Charges likewise.

        Should the look be due at another moment than `seen_look_at`, because somebody has woken the task meanwhile,
        the earlier of the two stays.
        """

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

    async def under_way(self) -> Sequence[Entry]:
        """Tasks of all media that have begun and not ended: workers have them, or their results are being stored."""

    async def held_of(self, project_ids: Collection[str]) -> Sequence[Entry]:
        """The same of these projects, of all media."""

    async def backlog(self, now: datetime) -> Backlog: ...

    async def look_again(self, task_id: str, seq: int, at: datetime) -> None:
        """Has the task looked at then, unless it was let go of or has moved on from `seq`."""

    async def renew(self, worker_id: str, runs: Sequence[tuple[str, int]], until: datetime) -> None:
        """Puts off the look at these task attempts of the worker."""

    async def renew_all(self, until: datetime) -> None:
        """Puts off the look at everything that workers have."""

    async def hold(self, task_id: str, look_again_at: datetime) -> None:
        """Remembers that the task, whose time has come, waits for another of its series."""

    async def wake_held(self, series_id: str, now: datetime) -> bool:
        """Has those that wait in this series looked at now; says whether there are any."""

    async def wake_needing(self, task_id: str, now: datetime) -> bool:
        """Has those that wait for the task's result looked at now; says whether there are any."""

    async def of_series(self, series_id: str) -> Sequence[str]:
        """The ids of the tasks of the series that have not ended."""

    async def due(self, now: datetime) -> Sequence[Entry]: ...

    async def next_due(self) -> datetime | None: ...


class Depths(Protocol):
    async def of_queue(self, now: datetime) -> Sequence[Depth]: ...


@dataclass(frozen=True)
class DueReminder:
    task_id: str
    moment: datetime
    """The one that was asked for; with the task it says which reminder this is."""


class Reminders(Protocol):
    """What is to be said of tasks, and was said of those that have not ended. Replicas share it."""

    async def keep(self, task_id: str, moments: Sequence[datetime]) -> None:
        """Each is due at its moment, unless it is kept already."""

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[DueReminder]:
        """What is due, put off to `until` for everybody else."""

    async def settle(self, reminder: DueReminder) -> None:
        """It was said and heard: it is kept, and never due again."""

    async def drop(self, reminder: DueReminder) -> None: ...

    async def forget(self, task_id: str) -> None:
        """Drops all of the task's."""

    async def next_due(self) -> datetime | None: ...


class Ledger(Protocol):
    """What projects have been charged."""

    async def all(self) -> dict[str, Usage]:
        """What they have used lately."""

    async def spent(self, project_ids: Collection[str], month: datetime) -> dict[str, Spending]:
        """What each of these projects has been charged in the month that begins then, and in all."""

    async def charged(self) -> Sequence[str]:
        """The ids of all that were ever charged."""

    async def most_charged(self, limit: int) -> Mapping[str, float]:
        """Those that were charged the most, each with all the seconds it ever was."""


class RememberedPauses(Protocol):
    """What operators have paused, as it was at most a few seconds ago."""

    async def get(self, id: str) -> Pauses | None: ...


class Projects(Protocol):
    """What operators say of projects, as it was at most a few seconds ago."""

    async def get(self, id: str) -> Project | None: ...


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
