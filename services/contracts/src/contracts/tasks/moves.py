"""What can happen to a task, as values. `contracts.tasks.apply` says what each makes of a record."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from contracts.errors import Problem
from contracts.identifiers import MediaId, Name
from contracts.media import MediaResult, ProducedMedia
from contracts.tasks.record import Checkpoint, Phase, Priority, ProcessingProgress


@dataclass(frozen=True)
class Supply:
    """All that it needs of other tasks is there: their results are its inputs from now on."""

    inputs: Mapping[Name, MediaId]


@dataclass(frozen=True)
class Release:
    """The time to start has come: the task waits for a worker from now on."""


@dataclass(frozen=True)
class Skip:
    """A rule decides, before it could start, that there shall be no run."""

    error: Problem


@dataclass(frozen=True)
class Assign:
    """Scheduling gives the task to a worker. Begins a new attempt."""

    worker_id: str
    start_by: datetime


@dataclass(frozen=True)
class TakeBack:
    """An attempt ends without blame: never started, or handed back by a worker that must go."""

    attempt: int


@dataclass(frozen=True)
class Advance:
    """The worker says where its run is: `loading_model`, `generating` or `encoding`, and how far."""

    attempt: int
    phase: Phase
    progress: ProcessingProgress | None = None
    checkpoint: Checkpoint | None = None
    """A new one; without it the last one stays."""
    together: int = 1
    """How many tasks share the device with this one."""


@dataclass(frozen=True)
class Produce:
    """The worker has put the encoded result into staging; generating ended at `generated_at`."""

    attempt: int
    media: ProducedMedia
    generated_at: datetime
    together: int = 1
    """How many tasks shared the device with this one."""


@dataclass(frozen=True)
class Complete:
    """Storage has verified and promoted the result."""

    attempt: int
    result: MediaResult


@dataclass(frozen=True)
class RetryLater:
    """The attempt failed; another may begin at `not_before`."""

    attempt: int
    error: Problem
    not_before: datetime
    outgrown_mb: int = 0
    """The memory of the device that the attempt did not fit."""


@dataclass(frozen=True)
class Fail:
    """The task has failed for good."""

    attempt: int
    error: Problem


@dataclass(frozen=True)
class RequestCancel:
    """A person wants it gone: at once while it waits, at the next step while it runs."""


@dataclass(frozen=True)
class Cancel:
    """The run has stopped because a person asked for it."""

    attempt: int


@dataclass(frozen=True)
class Expire:
    """Nobody could start it before `expires_at`."""


@dataclass(frozen=True)
class Resubmit:
    """A person sends an ended task round again: same id, failures forgiven, attempts go on counting."""


@dataclass(frozen=True)
class Prioritise:
    """A person wants a task that has not ended sooner or later than the others. One that runs is not disturbed."""

    priority: Priority


Move = (
    Supply
    | Release
    | Skip
    | Assign
    | TakeBack
    | Advance
    | Produce
    | Complete
    | RetryLater
    | Fail
    | RequestCancel
    | Cancel
    | Expire
    | Resubmit
    | Prioritise
)
