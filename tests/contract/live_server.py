"""Notification on a real socket, as watchers meet it: streams have no end, so nothing less will do."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import websockets
from chassis.server import GuestServer, listen, served
from chassis.service import Surroundings, build_app
from contracts.events import task_changed
from contracts.identifiers import task_id_for
from contracts.projects import key_text
from contracts.tasks import Phase, Task
from contracts.testing.examples import a_task_in
from cryptography.fernet import Fernet
from httpx_sse import ServerSentEvent, aconnect_sse
from notification.app import create
from notification.settings import NotificationSettings

from tests.conftest import ADMIN_KEY, SECRET, TOKEN, Running, World

ORIGIN = "https://studio.example.com"
FERNET_KEY = Fernet.generate_key().decode()
TOLD_WITHIN = 20


@dataclass
class Stream:
    """What a watcher has been told so far, by Server-Sent Events or by WebSocket."""

    response: httpx.Response | None = None
    told: "asyncio.Queue[dict[str, Any]]" = field(default_factory=asyncio.Queue)
    raw: list[ServerSentEvent] = field(default_factory=list)

    async def take(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(TOLD_WITHIN):
            return [await self.told.get() for _ in range(count)]


@dataclass
class LiveServer:
    running: Running
    world: World
    server: GuestServer
    port: int
    key: str = key_text("k1", SECRET)
    stranger: str = key_text("k2", SECRET)

    @property
    def http(self) -> httpx.AsyncClient:
        return self.running.http

    async def post(self, path: str, key: str | None = None, **options: Any) -> httpx.Response:
        return await self.http.post(f"/api/v1{path}", headers={"X-API-Key": key or self.key}, **options)

    async def ticket(self, key: str | None = None, **scope: str) -> dict[str, Any]:
        answer = await self.post("/live/tickets", key, json=scope)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def status(self, path: str, **headers: str) -> int:
        """With which status a stream opens, or does not."""
        async with self.http.stream("GET", path, headers=headers) as answer:
            return answer.status_code

    @asynccontextmanager
    async def sse(self, path: str, **headers: str) -> AsyncIterator[Stream]:
        stream, opened = Stream(), asyncio.Event()

        async def read() -> None:
            async with aconnect_sse(self.http, "GET", path, headers=headers, timeout=60) as source:
                stream.response = source.response
                async for event in source.aiter_sse():
                    stream.raw.append(event)
                    opened.set()
                    if event.data:
                        stream.told.put_nowait({"id": event.id, "type": event.event, "data": event.json()})

        async with _beside(read(), opened):
            yield stream

    def connect(self, path: str, **options: Any) -> AbstractAsyncContextManager[websockets.ClientConnection]:
        options = {"compression": None, **options}
        return websockets.connect(f"ws://127.0.0.1:{self.port}{path}", **options)

    async def refusal(self, path: str, **options: Any) -> int | None:
        """The code a WebSocket is closed with."""
        async with asyncio.timeout(TOLD_WITHIN), self.connect(path, **options) as socket:
            await socket.wait_closed()
            return socket.close_code

    async def tell(self, task: Task) -> None:
        assert await self.running.deliver(task_changed(task, "test")) == "SUCCESS"


@asynccontextmanager
async def _beside(reading: Any, opened: asyncio.Event) -> AsyncIterator[None]:
    task = asyncio.create_task(reading)
    waiting = asyncio.create_task(opened.wait())
    try:
        async with asyncio.timeout(TOLD_WITHIN):
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield
    finally:
        for one in (task, waiting):
            one.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


def a_task_told(number: int, project_id: str = "p1", tags: Sequence[str] = (), padding: str = "") -> Task:
    return a_task_in(
        Phase.DONE,
        id=task_id_for(project_id, str(number)),
        project_id=project_id,
        tags=tuple(tags),
        params={"prompt": "a red circle" + padding},
    )


@asynccontextmanager
async def live_server(world: World, database: str, **settings: Any) -> AsyncIterator[LiveServer]:
    """A replica, in a world that has the projects p1 and p2."""
    notification = create(
        NotificationSettings(
            notification_database=database,
            admin_key=ADMIN_KEY,
            webhook_encryption_keys=FERNET_KEY,
            preview_link_keys=FERNET_KEY,
            media_url="memory:///",
            replica="test",
            cors_origins=ORIGIN,
            **settings,
        ),
        world.outside,
    )
    around = Surroundings(world.bus, world.clock, app_api_token=TOKEN, cors_origins=[ORIGIN])
    app = build_app([notification], around)
    config = served(app, "127.0.0.1", 0)
    config.timeout_graceful_shutdown = 1
    server, listening = GuestServer(config), listen(config)
    # What the kernel takes for a client that reads nothing is no part of what is tested, and would be megabytes.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    # Nor is when it would end the connection.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)
    port: int = listening.getsockname()[1]
    serving = asyncio.create_task(server.serve([listening]))
    limits = httpx.Limits(max_connections=1000)
    try:
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, limits=limits, timeout=60)
        async with client as http:
            while not server.started:
                assert not serving.done()
                await asyncio.sleep(0.005)
            yield LiveServer(Running(app, http), world, server, port)
    finally:
        server.should_exit = True
        await serving
