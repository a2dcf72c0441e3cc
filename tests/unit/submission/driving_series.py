"""Submission with series, driven by what it would be asked and hear, on a state store at which it may die."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from contracts.errors import DependencyUnavailable
from contracts.events import task_changed
from contracts.records import TaskRecords
from contracts.series import Series
from contracts.tasks import Assign, Fail, Release, Task
from contracts.testing import InMemoryState
from contracts.testing.examples import NOON, a_problem
from contracts.topics import series_key
from submission.app import create
from submission.domain.series import MOST_OPEN, WITHDRAWN
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, Running, Serve, World, settle

HOUR = timedelta(hours=1)
TEMPLATE = {"model": "tiny-image", "params": {"prompt": "a red circle"}}


class Mortal(InMemoryState):
    """A state store at which its user may die: from a write on, which happens or not, nothing answers any more."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left: int | None = None
        self.last_one_happens = False
        self.open_now: dict[str, set[str]] = {}
        self.most_open: Counter[str] = Counter()

    async def get(self, key: str) -> Any:
        if self.writes_left == 0:
            raise DependencyUnavailable("dead")
        return await super().get(key)

    def _write(self, key: str, value: bytes) -> None:
        if self.writes_left is not None:
            self.writes_left = max(0, self.writes_left - 1)
        dies = self.writes_left == 0
        if not dies or self.last_one_happens:
            super()._write(key, value)
            if key.startswith("task:"):
                self._count(Task.model_validate_json(value))
        if dies:
            self.last_one_happens = False
            raise DependencyUnavailable("dead")

    def _count(self, task: Task) -> None:
        if task.series is not None:
            open_now = self.open_now.setdefault(task.series.id, set())
            (open_now.add if _open(task) else open_now.discard)(task.id)
            self.most_open[task.series.id] = max(self.most_open[task.series.id], len(open_now))

    def tasks(self, series_id: str) -> list[Task]:
        of_series = f'"id":"{series_id}"'.encode()
        found = [held.value for key, held in self._documents.items() if key.startswith("task:")]
        return [Task.model_validate_json(value) for value in found if of_series in value]


def _open(task: Task) -> bool:
    return not task.phase.terminal


@dataclass
class Submission:
    world: World
    state: Mortal
    key: str
    replicas: list[Running] = field(default_factory=list)

    async def call(self, method: str, path: str = "", **options: Any) -> dict[str, Any]:
        headers = {"X-API-Key": self.key} | options.pop("headers", {})
        url = f"/api/v1/projects/p1/series{path}"
        answer = await self.replicas[0].http.request(method, url, headers=headers, **options)
        if answer.status_code == 503:
            raise DependencyUnavailable(answer.text)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def add(self, **fields: Any) -> str:
        body = {"request": TEMPLATE, "every_seconds": 3600, "from_at": NOON.isoformat()} | fields
        series_id = str((await self.call("POST", json=body))["id"])
        await self.tended()
        return series_id

    async def tended(self, **by: float) -> None:
        """What is due has been done by all replicas, some time later if so wished."""
        if by:
            self.world.clock.advance(**by)
        await settle(self.world)
        rings = [running.ring(f"submission-series-{n}") for n, running in enumerate(self.replicas)]
        assert set(await asyncio.gather(*rings)) == {204}
        await settle(self.world)

    async def end(self, task_id: str) -> None:
        """The task comes to its end, and that is heard."""
        tasks = TaskRecords(self.state, self.world.clock)
        await tasks.change(task_id, lambda _task: Release())
        await tasks.change(task_id, lambda _task: Assign("worker-1", NOON))
        await self.hear(await tasks.change(task_id, lambda _task: Fail(1, a_problem(retryable=False))))

    async def hear(self, task: Task) -> None:
        assert await self.replicas[-1].deliver(task_changed(task, "test")) == "SUCCESS"

    def instances(self, series_id: str) -> list[Task]:
        return sorted(self.state.tasks(series_id), key=lambda task: task.series.at if task.series else NOON)

    def open(self, series_id: str) -> list[Task]:
        return [task for task in self.instances(series_id) if _open(task)]

    def hours(self, series_id: str) -> list[float]:
        """The times of the instances that have not ended, in hours from noon."""
        return [(task.series.at - NOON) / HOUR for task in self.open(series_id) if task.series]

    async def record(self, series_id: str) -> Series:
        found = await self.state.get(series_key(series_id))
        assert found is not None
        return Series.model_validate_json(found.value)

    def check(self, series_id: str) -> None:
        """What holds whatever happens: one task for a time that is not withdrawn, and ten at most."""
        kept = [task for task in self.instances(series_id) if task.error != WITHDRAWN]
        times = Counter(task.series.at for task in kept if task.series)
        assert max(times.values(), default=0) <= 1, times
        assert self.state.most_open[series_id] <= MOST_OPEN


@asynccontextmanager
async def serving_series(world: World, serve: Serve, url: str, replicas: int) -> AsyncIterator[Submission]:
    state = world.state = Mortal()
    found = Submission(world, state, await world.add_project("p1", "k1"))
    common: dict[str, Any] = {"admin_key": ADMIN_KEY, "media_url": "memory:///"}
    async with AsyncExitStack() as stack:
        for n in range(replicas):
            settings = SubmissionSettings(submission_database=url, replica=str(n), **common)
            found.replicas.append(await stack.enter_async_context(serve([create(settings, world.outside)])))
        yield found
