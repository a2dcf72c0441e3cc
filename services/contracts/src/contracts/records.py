"""Typed documents in the state store, and the one way a task changes."""

from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import BaseModel

from contracts.budgets import Spending
from contracts.errors import DependencyUnavailable, NotFound, StateConflict
from contracts.graphs import Graph
from contracts.media import MediaResult
from contracts.pauses import Pauses
from contracts.ports import Clock, StateStore
from contracts.projects import ApiKey, Project
from contracts.series import Series
from contracts.tasks import Move, Task, apply, spans_of
from contracts.topics import (
    api_key_key,
    graph_key,
    media_key,
    pauses_key,
    project_key,
    series_key,
    spending_key,
    task_key,
)
from contracts.tracing import OFF, Tracer

CONFLICTS_BEFORE_GIVING_UP = 20

Document = TypeVar("Document", bound=BaseModel)


class Records(Generic[Document]):
    """Documents of one kind, by id."""

    def __init__(self, store: StateStore, document: type[Document], key: Callable[[str], str]) -> None:
        self._store = store
        self._document = document
        self._key = key

    async def get(self, id: str) -> Document | None:
        found = await self._store.get(self._key(id))
        return self._document.model_validate_json(found.value) if found else None

    async def create(self, id: str, document: Document) -> None:
        """Raises `AlreadyExists`."""
        await self._store.create(self._key(id), document.model_dump_json().encode())

    async def change(self, id: str, decide: Callable[[Document], Document]) -> Document:
        """Saves what `decide` makes of the document as it is, deciding again whenever it changed meanwhile.

        Returns the document as it now stands; a `decide` that returns its argument saves nothing.
        Raises `NotFound`, whatever `decide` raises, and `DependencyUnavailable`.
        """
        for _ in range(CONFLICTS_BEFORE_GIVING_UP):
            found = await self._store.get(self._key(id))
            if found is None:
                raise NotFound(f"no {self._document.__name__} {id}")
            before = self._document.model_validate_json(found.value)
            after = decide(before)
            if after is before:
                return before
            content = after.model_dump_json().encode()
            try:
                await self._store.replace(self._key(id), content, found.etag)
            except StateConflict:
                continue
            except DependencyUnavailable:
                # The write may have happened although its answer never came.
                if not await self._holds(id, content):
                    raise
            return after
        raise StateConflict(f"{self._document.__name__} {id} kept changing")

    async def _holds(self, id: str, content: bytes) -> bool:
        found = await self._store.get(self._key(id))
        return found is not None and found.value == content


class TaskRecords:
    """The task records: read, apply one move, save unless somebody else did, and tell what is over by it."""

    def __init__(self, store: StateStore, clock: Clock, tracer: Tracer = OFF) -> None:
        self._records = Records(store, Task, task_key)
        self._clock = clock
        self._tracer = tracer

    async def get(self, task_id: str) -> Task | None:
        return await self._records.get(task_id)

    async def create(self, task: Task) -> None:
        """Raises `AlreadyExists`."""
        await self._records.create(task.id, task)

    async def change(self, task_id: str, decide: Callable[[Task], Move | None], seen: int = 0) -> Task:
        """Makes the move that `decide` wants of the record as it stands, or none for None.

        `seen` is the newest `seq` that the caller knows of. From an older record, which a store may give that
        lags behind, nothing is concluded: it would seem that somebody else had moved the task on.
        Returns the record as it now stands. Raises `NotFound`, `StaleAttempt`, `IllegalTransition`,
        `DependencyUnavailable`, and whatever `decide` raises.
        """

        before: Task | None = None

        def moved(task: Task) -> Task:
            nonlocal before
            if task.seq < seen:
                raise DependencyUnavailable(f"the state store gave task {task_id} as of {task.seq}, it was at {seen}")
            before, move = task, decide(task)
            return task if move is None else apply(task, move, self._clock.now())

        after = await self._records.change(task_id, moved)
        if before is not None and after is not before:
            for span in spans_of(before, after):
                self._tracer.tell(span)
        return after


def project_records(store: StateStore) -> Records[Project]:
    return Records(store, Project, project_key)


def spending_records(store: StateStore) -> Records[Spending]:
    return Records(store, Spending, spending_key)


def pauses_records(store: StateStore) -> Records[Pauses]:
    return Records(store, Pauses, pauses_key)


def api_key_records(store: StateStore) -> Records[ApiKey]:
    return Records(store, ApiKey, api_key_key)


def series_records(store: StateStore) -> Records[Series]:
    return Records(store, Series, series_key)


def graph_records(store: StateStore) -> Records[Graph]:
    return Records(store, Graph, graph_key)


def media_records(store: StateStore) -> Records[MediaResult]:
    return Records(store, MediaResult, media_key)
