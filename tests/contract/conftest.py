"""The submission API over fakes, with two projects and a key for each; and a receiver of webhooks."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from contracts.events import task_changed
from contracts.records import TaskRecords
from contracts.tasks import Advance, Assign, Complete, Phase, Produce, Task
from contracts.testing.examples import NOON, media_result, produced_media
from embedded.settings import EmbeddedSettings
from submission.app import create
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, Running, Serve, World
from tests.contract.notifying import Receiver, receiving


@dataclass
class Api:
    """The API as project `p1` uses it; `stranger` is the key of project `p2`."""

    running: Running
    world: World
    key: str
    stranger: str

    async def call(self, method: str, path: str, *, key: str | None = None, **options: object) -> httpx.Response:
        headers = {"X-API-Key": self.key if key is None else key} | dict(options.pop("headers", {}))  # type: ignore[call-overload]
        return await self.running.http.request(method, f"/api/v1{path}", headers=headers, **options)  # type: ignore[arg-type]

    async def submit(
        self, *, key: str | None = None, idempotency_key: str | None = None, **body: object
    ) -> httpx.Response:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        request = {"model": "tiny-image", "params": {"prompt": "a red circle"}} | body
        return await self.call("POST", "/tasks/submit", key=key, headers=headers, json=request)

    async def admin(self, method: str, path: str, **options: object) -> httpx.Response:
        return await self.running.http.request(
            method,
            f"/api/v1/admin{path}",
            headers={"X-Admin-Key": ADMIN_KEY},
            **options,  # type: ignore[arg-type]
        )

    async def start(self, task_id: str) -> Task:
        """A worker is at it, and submission has heard so."""
        await self.tasks.change(task_id, lambda _: Assign("worker-1", NOON))
        return await self.tell(await self.tasks.change(task_id, lambda _: Advance(1, Phase.GENERATING)))

    async def store(self, task_id: str) -> Task:
        """What was started has its result, and submission has heard so."""
        await self.tasks.change(task_id, lambda task: Produce(1, produced_media(task), self.world.clock.now()))
        return await self.tell(await self.tasks.change(task_id, lambda task: Complete(1, media_result(task))))

    async def finish(self, task_id: str) -> Task:
        await self.start(task_id)
        return await self.store(task_id)

    async def tell(self, task: Task) -> Task:
        await self.running.deliver(task_changed(task, "test"))
        return task

    @property
    def tasks(self) -> TaskRecords:
        return TaskRecords(self.world.state, self.world.clock)


@pytest.fixture
async def api(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Api]:
    settings = SubmissionSettings(
        admin_key=ADMIN_KEY, submission_database=database_url("submission"), media_url="memory:///", replica="test"
    )
    key, stranger = await world.add_project("p1", "k1"), await world.add_project("p2", "k2")
    async with serve([create(settings, world.outside)]) as running:
        yield Api(running, world, key, stranger)


def embedded_in(folder: Path) -> EmbeddedSettings:
    """Settings to compose all services with; nothing of Dapr is started."""
    return EmbeddedSettings(data=folder, components=folder, dapr_bin=folder)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found
