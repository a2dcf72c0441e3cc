"""What submission's handlers need of its private tables and of its picture of the workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from contracts.media import Medium
from contracts.pauses import Pauses
from contracts.projects import Project
from contracts.tasks import Phase, Task
from contracts.workers import WorkerStatus
from pydantic import JsonValue

from submission.domain import Cursor, Tally, TaskFilter
from submission.domain.estimates import Backlog, Finished
from submission.domain.fleet import Sight
from submission.domain.used import Used


@dataclass(frozen=True)
class Page:
    tasks: Sequence[Task]
    next: Cursor | None


@dataclass(frozen=True)
class HistoryEntry:
    """One event of a task's life, as it was announced."""

    event_id: str
    type: str
    at: datetime
    seq: int
    phase: str
    attempt: int
    worker_id: str | None
    detail: str | None


@dataclass(frozen=True)
class AdminAction:
    """One thing an operator did: who from where, what to what, before and after."""

    at: datetime
    action: str
    target: str
    before: JsonValue
    after: JsonValue
    operator: str
    """Who it was, as they said themselves."""
    address: str
    correlation_id: str
    event_id: str | None = None
    """Of the event that told it, where it was done in another service."""


@dataclass(frozen=True)
class Crowd:
    """How many of a project's tasks for a model are in a phase, and since when the oldest is asked for."""

    project_id: str
    medium: Medium
    model: str
    phase: Phase
    count: int
    oldest: datetime


@dataclass(frozen=True)
class KeptLetter:
    id: str
    at: datetime
    app: str
    topic: str
    reason: str
    event: str
    redriven_at: datetime | None = None
    redriven_by: str | None = None


@dataclass(frozen=True)
class LetterFilter:
    """Which dead letters; parts left out do not narrow."""

    app: str | None = None
    topic: str | None = None
    redriven: bool | None = None


class ReadModel(Protocol):
    """Tasks as they are searched and listed: fed by events, can be rebuilt from them."""

    async def record(self, task: Task, event_id: str, change: str) -> None:
        """Keeps the snapshot if it is the newest seen, and the event in the task's history; repeats do nothing."""

    async def list(self, project_id: str, wanted: TaskFilter, limit: int, after: Cursor | None) -> Page: ...

    async def take_turn(self, now: datetime, until: datetime) -> str | None:
        """Whether it is the caller's turn to announce what is quiet, rather than another replica's; nobody's
        until `until` then. The answer is the id behind which to begin."""

    async def next_turn_behind(self, task_id: str) -> None:
        """Where whoever has the next turn begins."""

    async def quiet_since(self, then: datetime, after: str, limit: int) -> Sequence[tuple[str, int]]:
        """Open tasks of which nothing was heard since `then`, by id from behind `after` on, with the `seq` heard."""

    async def correct(self, task: Task, heard_seq: int) -> None:
        """Keeps the record as it was read in place of what was heard, unless something else was heard since."""

    async def tallies(self, project_id: str) -> Sequence[Tally]:
        """Of the tasks that have not ended."""

    async def used(self, project_id: str, since: datetime | None, until: datetime | None) -> Sequence[Used]:
        """By those tasks that were asked for from `since` on and before `until`."""

    async def waiting_before(self, task: Task) -> Mapping[str, int]:
        """How many of the task's project wait and go before it, by model."""

    async def first_waiting(self, project_id: str, limit: int) -> Sequence[Task]:
        """High priority first, then the longest waiting."""

    async def of_ids(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Those of the tasks of which something was heard."""

    async def history(self, task_id: str) -> Sequence[HistoryEntry]: ...


class AllTasks(Protocol):
    """The same tasks across projects, for operators alone."""

    async def list(self, wanted: TaskFilter, limit: int, after: Cursor | None) -> Page: ...

    async def count(self, wanted: TaskFilter) -> int: ...

    async def crowds(self) -> Sequence[Crowd]:
        """Of the tasks that have not ended."""


class Experience(Protocol):
    """What finished tasks have taught about how long tasks take."""

    async def add(self, task_id: str, finished: Finished, at: datetime) -> None:
        """Keeps it once, and the last of each model."""

    async def of(self, model: str) -> Sequence[Finished]:
        """The newest first, as it was at most a few seconds ago."""


class Backlogs(Protocol):
    async def of(self, medium: Medium, model: str) -> Backlog:
        """What those workers of the medium that can run the model have before them, as it was at most a few seconds
        ago."""

    async def own_ahead(self, task: Task) -> int:
        """How many of the task's project wait for the same medium and go first."""


class Outbox(Protocol):
    """Tasks this service has changed or is about to, until their announcement has been heard."""

    async def add(self, task: Task, seq: int, due: datetime) -> None:
        """Keeps the task, whose record is to be announced at version `seq` or later."""

    async def remove(self, task_id: str, heard_seq: int) -> None:
        """Drops the task, unless a newer version than the one heard is to be announced."""

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Task]:
        """What is due, the longest first, put off to `until` so that nobody else takes it meanwhile."""

    async def keep_as_read(self, task: Task, taken_until: datetime) -> None:
        """Keeps the record as it was found for what was taken until then, unless more is to be said of it since."""

    async def next_due(self) -> datetime | None: ...


class Directory(Protocol):
    """The operator's lists: which projects and keys there are, what operators did, what was dead-lettered.

    Projects and keys themselves are records in the state store; here only their ids are listed.
    """

    async def list_project(self, project_id: str) -> None: ...

    async def project_ids(self) -> Sequence[str]: ...

    async def list_key(self, project_id: str, key_id: str) -> None: ...

    async def key_ids(self, project_id: str) -> Sequence[str]: ...

    async def note(self, action: AdminAction) -> None:
        """Keeps it, and what an event has told once, however often it is delivered."""

    async def actions(self, limit: int) -> Sequence[AdminAction]:
        """The newest first."""

    async def keep_letter(self, letter: KeptLetter) -> None:
        """Keeps it once, however often it is delivered."""

    async def letters(self, limit: int, wanted: LetterFilter) -> Sequence[KeptLetter]:
        """The newest first."""

    async def letter(self, letter_id: str) -> KeptLetter | None: ...

    async def mark_redriven(self, letter_id: str, at: datetime, by: str, again: bool) -> bool:
        """Marks it unless it is marked already, or also then; says whether it did."""

    async def unmark_redriven(self, before: KeptLetter) -> None:
        """Puts the mark back to what it was."""


class Watched(Protocol):
    """Which records of a kind there are, and when to look at each: series, graphs. What they are is in the records."""

    async def add(self, id: str, project_id: str, created_at: datetime, due: datetime) -> None:
        """Lists it once, however often it is added."""

    async def count(self, project_id: str) -> int: ...

    async def page(self, project_id: str, limit: int, after: Cursor | None) -> tuple[Sequence[str], Cursor | None]:
        """Ids, the newest first."""

    async def wake(self, id: str, due: datetime) -> None:
        """Has it looked at by then, if not earlier."""

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[str]:
        """What is due, the longest first, put off to `until` so that nobody else takes it meanwhile."""

    async def put_off(self, id: str, taken_until: datetime, due: datetime | None) -> None:
        """Unless it was woken since it was taken; for None, until it is."""

    async def remove(self, id: str) -> None: ...

    async def next_due(self) -> datetime | None: ...


class RememberedPauses(Protocol):
    """What operators have paused, as it was at most a few seconds ago."""

    async def get(self, id: str) -> Pauses | None: ...


class Projects(Protocol):
    """What operators say of projects, as it was at most a few seconds ago."""

    async def get(self, id: str) -> Project | None: ...


class Workers(Protocol):
    """What workers said last."""

    def heard(self, worker: WorkerStatus) -> None: ...

    def all(self) -> Sequence[WorkerStatus]: ...


class Fleet(Protocol):
    """The workers as Kubernetes knows them."""

    def seen(self) -> Sight:
        """What was seen last, and is at most some seconds old."""
