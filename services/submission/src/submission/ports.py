"""What submission's handlers need of its private tables and of its picture of the workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from contracts.tasks import Task
from contracts.workers import WorkerStatus
from pydantic import JsonValue

from submission.domain import Cursor, Tally, TaskFilter


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
    address: str
    correlation_id: str


@dataclass(frozen=True)
class KeptLetter:
    id: str
    at: datetime
    app: str
    topic: str
    reason: str
    event: str


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

    async def first_waiting(self, project_id: str, limit: int) -> Sequence[Task]:
        """High priority first, then the longest waiting."""

    async def history(self, task_id: str) -> Sequence[HistoryEntry]: ...


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

    async def note(self, action: AdminAction) -> None: ...

    async def actions(self, limit: int) -> Sequence[AdminAction]:
        """The newest first."""

    async def keep_letter(self, letter: KeptLetter) -> None:
        """Keeps it once, however often it is delivered."""

    async def letters(self, limit: int) -> Sequence[KeptLetter]:
        """The newest first."""


class Workers(Protocol):
    """What workers said last."""

    def heard(self, worker: WorkerStatus) -> None: ...

    def all(self) -> Sequence[WorkerStatus]: ...
