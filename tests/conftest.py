"""Services in one application over fakes, for unit and contract tests."""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from chassis.outside import Outside
from chassis.service import Service, Surroundings, build_app
from chassis.tracing import NOWHERE, Tracing
from contracts.catalog import Catalog, read_catalog
from contracts.events import Message
from contracts.projects import ApiKey, Project, digest_of, key_text
from contracts.records import api_key_records, project_records
from contracts.testing import InMemoryBus, InMemoryJobs, InMemoryObjects, InMemoryState, SettableClock
from contracts.testing.examples import NOON
from fastapi import FastAPI
from hypothesis import HealthCheck, settings

from tests.databases import PostgresDatabases

# How long an example takes says more about the machine than about the code, and the same code passes every time.
ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("the same each time", ANY_MACHINE, derandomize=True)
settings.register_profile("search", ANY_MACHINE, max_examples=3000, print_blob=True)
settings.load_profile("the same each time")

structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
)

TEST_POSTGRES = os.environ.get("MOVIE_TASKS_TEST_POSTGRES")
TOKEN = "sidecar-token-for-tests"
ADMIN_KEY = "admin-key-for-tests"
SECRET = "s" * 43
TINY_MODELS = read_catalog(only=["tiny-*", "mux", "concat"])


@dataclass
class World:
    """Everything outside a service, as fakes the test can look into."""

    state: InMemoryState = field(default_factory=InMemoryState)
    bus: InMemoryBus = field(default_factory=InMemoryBus)
    jobs: InMemoryJobs = field(default_factory=InMemoryJobs)
    clock: SettableClock = field(default_factory=SettableClock)
    catalog: Catalog = TINY_MODELS
    tracing: Tracing = NOWHERE

    def __post_init__(self) -> None:
        self.objects = InMemoryObjects(self.clock)

    @property
    def outside(self) -> Outside:
        return Outside(
            self.state, self.bus, self.jobs, self.objects, self.clock, self.catalog, self.bus.check, self.tracing
        )

    async def add_project(self, project_id: str, key_id: str, **key: Any) -> str:
        """Adds an active project and a key of it, whose text is returned."""
        await project_records(self.state).create(project_id, Project(id=project_id, name=project_id, created_at=NOON))
        return await self.add_key(project_id, key_id, **key)

    async def add_key(self, project_id: str, key_id: str, **changes: Any) -> str:
        fields = {"project_id": project_id, "label": "", "digest": digest_of(SECRET), "created_at": NOON} | changes
        await api_key_records(self.state).create(key_id, ApiKey(id=key_id, **fields))
        return key_text(key_id, SECRET)


@dataclass
class Running:
    """An application of services, and a client that can also play the sidecar."""

    app: FastAPI
    http: httpx.AsyncClient

    async def deliver(self, message: Message) -> str:
        return await self.deliver_raw(
            message.topic.component.value, message.topic.name, message.event.model_dump_json(exclude_none=True).encode()
        )

    async def deliver_raw(self, component: str, topic: str, body: bytes) -> str:
        answer = await self.http.post(f"/events/{component}/{topic}", content=body, headers={"dapr-api-token": TOKEN})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["status"])

    async def ring(self, job: str) -> int:
        return (await self.http.post(f"/job/{job}", headers={"dapr-api-token": TOKEN})).status_code


Serve = Callable[[Sequence[Service]], AbstractAsyncContextManager[Running]]


@pytest.fixture
def world() -> World:
    return World()


def serving_of(world: World) -> Serve:
    @asynccontextmanager
    async def serving(services: Sequence[Service]) -> AsyncIterator[Running]:
        around = Surroundings(publisher=world.bus, clock=world.clock, app_api_token=TOKEN)
        app = build_app(services, around)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://movie-tasks") as http,
        ):
            # The server's start waits a second or two for its services, which a busy database may exceed.
            async with asyncio.timeout(60):
                while (await http.get("/api/started")).status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    await asyncio.sleep(0.01)
            yield Running(app, http)

    return serving


@pytest.fixture
def serve(world: World) -> Serve:
    return serving_of(world)


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[PostgresDatabases | None]:
    """On the server that `MOVIE_TASKS_TEST_POSTGRES` names with the right to create databases."""
    if TEST_POSTGRES is None:
        yield None
        return
    with PostgresDatabases(TEST_POSTGRES) as databases:
        yield databases


@pytest.fixture
def database_url(tmp_path: Path, postgres_databases: PostgresDatabases | None) -> Callable[[str], str]:
    """The URL of a database by its name within the test: a fresh file, or an empty database on a server."""
    if postgres_databases is None:
        return lambda name: f"sqlite:///{tmp_path}/{name}.db"
    return postgres_databases.of_a_test()


async def until(true: Callable[[], bool], within: float = 30) -> None:
    """Waits for something that another task is about to do; long, for machines that are busy with other things."""
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.001)


async def settle(world: World) -> None:
    """Waits until background work has come to rest: nothing saved, nothing published for a while."""
    seen, calm = None, 0
    # Between two signs of life lie some statements, which a server answers more slowly than a file does.
    pause = 0.06 if TEST_POSTGRES else 0.004
    while calm < 5:
        await asyncio.sleep(pause)
        now = (world.state.writes, len(world.bus.messages), dict(world.jobs.due))
        seen, calm = now, calm + 1 if now == seen else 0


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Every name leads here, and one that ends in `slow.example` only once the event is set."""
    answered, real = threading.Event(), socket.getaddrinfo

    def slowly(host: str, *rest: Any, **more: Any) -> Any:
        if host.endswith("slow.example"):
            answered.wait(60)
        return real("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    yield answered
    answered.set()
