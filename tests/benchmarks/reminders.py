"""A project whose reminders are timed: by a webhook receiver and by a live watcher."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.clients import ProjectClient

SUBMITTED_AT_ONCE = 8
TOLD_WITHIN_SECONDS = 180
FAR = timedelta(days=30)


@dataclass
class Told:
    """When each task's reminder came, by the same clock as the platform's."""

    at: dict[str, float] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)
    marked: set[str] = field(default_factory=set)
    said: dict[str, float] = field(default_factory=dict)
    """When scheduling said it, where that is told."""

    def hear(self, reminder: Mapping[str, Any], said: str | None = None) -> None:
        task_id = reminder["task_id"]
        if said is not None:
            self.said[task_id] = datetime.fromisoformat(said).timestamp()
        self.at.setdefault(task_id, time.time())
        self.times[task_id] += 1
        if reminder["late_seconds"] is not None:
            self.marked.add(task_id)


class Receiver(asyncio.Protocol):
    """Takes webhooks as cheaply as it can."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        [length] = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")] or [
            0
        ]
        if found and len(body) >= length:
            told = json.loads(body)
            self._told.hear(told["data"], told["timestamp"])
            self._transport.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            self._transport.close()


@dataclass
class Reminded:
    project: ProjectClient
    by_webhook: Told
    live: Told

    async def plan(self, moments: Sequence[datetime]) -> dict[str, float]:
        """A task far ahead for each moment, with a reminder at it: the moments by task."""
        places = asyncio.Semaphore(SUBMITTED_AT_ONCE)
        start_at = (datetime.now(UTC) + FAR).isoformat()

        async def submit(moment: datetime) -> tuple[str, float]:
            async with places:
                task = await self.project.submit(start_at=start_at, reminders=[{"at": moment.isoformat()}])
            return task["id"], moment.timestamp()

        return dict(await asyncio.gather(*(submit(moment) for moment in moments)))

    async def all_told(self, tasks: Mapping[str, float]) -> None:
        async with asyncio.timeout(TOLD_WITHIN_SECONDS):
            while not all(told.at.keys() >= tasks.keys() for told in (self.by_webhook, self.live)):
                await asyncio.sleep(0.1)


@asynccontextmanager
async def reminded(project: ProjectClient) -> AsyncIterator[Reminded]:
    found = Reminded(project, Told(), Told())
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(found.by_webhook), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    made = await project.http.post("/api/v1/webhooks", json={"url": url, "events": ["task.reminder.v1"]})
    made.raise_for_status()
    watching = asyncio.create_task(_watch(project, found.live))
    try:
        yield found
    finally:
        watching.cancel()
        server.close()


async def _watch(project: ProjectClient, told: Told) -> None:
    """From the beginning of the feed on, and after each interruption from where it was."""
    position, name = "0", ""
    async with httpx.AsyncClient(headers=project.http.headers, timeout=60) as http:
        while True:
            address = f"{project.access.api}/api/v1/live/projects/{project.id}?last_event_id={position}"
            try:
                async with http.stream("GET", address) as answer:
                    async for line in answer.aiter_lines():
                        kind, _, value = line.partition(": ")
                        position = value if kind == "id" else position
                        name = value if kind == "event" else name
                        if kind == "data" and name == "task.reminder.v1":
                            told.hear(json.loads(value))
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)
