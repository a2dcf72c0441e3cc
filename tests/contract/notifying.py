"""The notification API as project `p1` uses it, and receivers of its webhooks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from chassis.service import Service
from contracts.events import task_changed
from contracts.identifiers import task_id_for
from contracts.tasks import Phase, Task
from contracts.testing.examples import a_task_in
from cryptography.fernet import Fernet
from notification.app import create
from notification.settings import NotificationSettings

from tests.conftest import ADMIN_KEY, Running, Serve, World

TRY_WITHIN = timedelta(seconds=4)
"""Short for receivers that never answer, and long for a machine that is busy with other tests."""


@dataclass
class Receiver:
    """An HTTP server on a loopback port that keeps what it is sent and answers as it is told."""

    port: int = 0
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    otherwise: bytes = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    hang: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.received.append((headers, body))
            if self.hang:
                await asyncio.sleep(3600)
            writer.write(self.answers.pop(0) if self.answers else self.otherwise)
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    found = Receiver()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


@dataclass
class Api:
    running: Running
    world: World
    key: str
    stranger: str

    async def call(self, method: str, path: str, *, key: str | None = None, **options: Any) -> httpx.Response:
        headers = {"X-API-Key": self.key if key is None else key}
        return await self.running.http.request(method, f"/api/v1{path}", headers=headers, **options)

    async def register(self, url: str, **more: Any) -> dict[str, Any]:
        answer = await self.call("POST", "/webhooks", json={"url": url, **more})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def tell(self, task: Task) -> None:
        assert await self.running.deliver(task_changed(task, "test")) == "SUCCESS"

    async def log(self, endpoint_id: str) -> list[dict[str, Any]]:
        page = (await self.call("GET", f"/webhooks/{endpoint_id}/deliveries")).json()
        deliveries: list[dict[str, Any]] = page["items"]
        return deliveries

    async def tried(self, endpoint_id: str, tries: int) -> dict[str, Any]:
        """The endpoint's only delivery once it was tried so often."""
        async with asyncio.timeout(30):
            while True:
                log = await self.log(endpoint_id)
                if log and log[0]["tries"] >= tries:
                    return log[0]
                await asyncio.sleep(0.002)

    async def ring(self, alarm: str = "retry") -> None:
        assert await self.running.ring(f"notification-{alarm}-test") == 204

    async def tell_of(self, *numbers: int) -> None:
        """That as many tasks are done."""
        for number in numbers:
            await self.tell(a_task_in(Phase.DONE, id=task_id_for("p1", str(number))))

    async def endpoint(self, endpoint_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.call("GET", f"/webhooks/{endpoint_id}")).json()
        return found

    async def rests(self, endpoint_id: str, receiver: Receiver) -> dict[str, Any]:
        """The endpoint, once it is paused or off and every try of a delivery is settled."""
        async with asyncio.timeout(30):
            while True:
                log = await self.log(endpoint_id)
                # After the log: an endpoint is judged before the try is settled.
                found = await self.endpoint(endpoint_id)
                resting = found["next_probe"] is not None or not found["enabled"]
                tries = sum(one["tries"] for one in log)
                # A try may end before a busy receiver has seen it, and be seen before it is settled.
                if resting and tries >= len(receiver.received) and not any(self._is_held(one) for one in log):
                    return found
                await asyncio.sleep(0.002)

    def _is_held(self, delivery: dict[str, Any]) -> bool:
        until = self.world.clock.now() + 2 * TRY_WITHIN
        return delivery["state"] == "waiting" and datetime.fromisoformat(delivery["due"]) == until

    async def probe(self, endpoint_id: str, receiver: Receiver) -> dict[str, Any]:
        """The endpoint after its next probe, which is due."""
        before = len(receiver.received)
        await self.ring("probe")
        async with asyncio.timeout(30):
            while len(receiver.received) == before:
                await asyncio.sleep(0.002)
        return await self.rests(endpoint_id, receiver)

    async def states(self, endpoint_id: str, *expected: str) -> None:
        """Waits until its deliveries are in these states, whatever their order."""
        async with asyncio.timeout(30):
            while sorted(one["state"] for one in await self.log(endpoint_id)) != sorted(expected):
                await asyncio.sleep(0.002)


@asynccontextmanager
async def notifying(
    world: World, serve: Serve, database: str, beside: Sequence[Service] = (), **changes: Any
) -> AsyncIterator[Api]:
    key, stranger = await world.add_project("p1", "k1"), await world.add_project("p2", "k2")
    async with serve([create(settings_with(database, **changes), world.outside), *beside]) as running:
        yield Api(running, world, key, stranger)


def settings_with(database: str, **changes: Any) -> NotificationSettings:
    return NotificationSettings(
        **{
            "notification_database": database,
            "admin_key": ADMIN_KEY,
            "webhook_encryption_keys": Fernet.generate_key().decode(),
            "webhook_private_hosts": "127.0.0.0/8",
            "webhook_timeout": str(TRY_WITHIN.total_seconds()),
            "media_url": "memory:///",
            "replica": "test",
            **changes,
        }
    )
