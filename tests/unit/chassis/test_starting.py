"""A process whose start has to wait answers, says what it waits for, and comes up by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from chassis.deliveries import Subscription
from chassis.service import Service, Surroundings, build_app
from contracts.events import CloudEvent, TaskChanged, WorkerHeartbeat, task_changed
from contracts.testing import InMemoryBus, SettableClock
from contracts.testing.examples import a_task
from contracts.topics import TASK_EVENTS, WORKER_HEARTBEATS
from fastapi import APIRouter, FastAPI

from tests.conftest import TOKEN, Running


class Slow:
    """A service whose start waits for the test."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_start = asyncio.Event()
        self.error = error
        self.heard: list[str] = []
        self.left = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.may_start.wait()
        if self.error:
            raise self.error
        yield
        self.left = True

    async def hear(self, _event: TaskChanged | WorkerHeartbeat, envelope: CloudEvent) -> None:
        self.heard.append(envelope.id)

    async def ring(self) -> None:
        self.heard.append("job")

    def app(self) -> FastAPI:
        router = APIRouter()
        router.add_api_route("/api/v1/here", lambda: "here")
        service = Service(
            name="slow",
            routers=[router],
            subscriptions=[
                Subscription(TASK_EVENTS, {TaskChanged: self.hear}),
                Subscription(WORKER_HEARTBEATS, {WorkerHeartbeat: self.hear}),
            ],
            jobs={"job-": self.ring},
            running=self.running,
        )
        return build_app([service], Surroundings(InMemoryBus(), SettableClock(), TOKEN))


@asynccontextmanager
async def running(slow: Slow, app: FastAPI) -> AsyncIterator[Running]:
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://movie-tasks") as http,
    ):
        yield Running(app, http)


@pytest.fixture(autouse=True)
def _the_server_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.starting.SERVER_WAITS_SECONDS", 0.02)


async def test_while_it_waits_it_lives_is_not_ready_and_puts_everybody_off() -> None:
    slow = Slow()
    async with running(slow, slow.app()) as process:
        assert (await process.http.get("/healthz")).status_code == 200
        ready = await process.http.get("/readyz")
        assert ready.status_code == 503
        assert "slow is starting" in ready.json()["checks"]["start"]
        assert (await process.http.get("/readyz?exclude=slow.database")).status_code == 503, "it has not begun yet"

        refused = await process.http.get("/api/v1/here")
        assert refused.status_code == 503
        assert refused.json()["code"] == "dependency-unavailable"
        assert int(refused.headers["Retry-After"]) > 0

        assert await process.ring("job-1") == 503
        assert await process.deliver(task_changed(a_task(), "test")) == "RETRY"
        assert await process.deliver_raw("broadcast", "worker-heartbeats", b"{}") == "SUCCESS"
        assert slow.heard == []
        assert (await process.http.get("/dapr/subscribe", headers={"dapr-api-token": TOKEN})).status_code == 200


async def test_it_comes_up_by_itself_and_is_put_away_in_the_end() -> None:
    slow = Slow()
    async with running(slow, slow.app()) as process:
        slow.may_start.set()
        async with asyncio.timeout(30):
            while (await process.http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.001)
        assert (await process.http.get("/api/v1/here")).status_code == 200
        assert await process.ring("job-1") == 204
        assert slow.heard == ["job"]
        assert not slow.left
    assert slow.left


async def test_what_fails_at_once_ends_the_process_before_it_serves() -> None:
    slow = Slow(error=ValueError("no such thing"))
    slow.may_start.set()
    with pytest.raises(ValueError, match="no such thing"):
        async with running(slow, slow.app()):
            pass


async def test_what_fails_later_stops_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr("chassis.background.os.kill", lambda pid, number: killed.append(number))
    slow = Slow(error=ValueError("no such thing"))
    async with running(slow, slow.app()):
        slow.may_start.set()
        async with asyncio.timeout(30):
            while not killed:
                await asyncio.sleep(0.001)
