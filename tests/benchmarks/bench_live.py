"""How long it takes from publishing an event until live watchers have it, as a table. Nothing here is asserted.

make bench-live
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import websockets
from contracts.errors import Problem
from contracts.events import TaskRejected, task_rejected
from rich.console import Console
from rich.table import Table

from tests.benchmarks.bench import ms, percentile, platform
from tests.clients import ProjectClient

EVENTS = 100
WARM_UP = 10
WATCHERS = (1, 100)
PAUSE_SECONDS = 0.1
PROBLEM = Problem.of("invalid-request", "a benchmark", "x" * 1500, retryable=False)
"""About as much as a task has to say."""

console = Console()


@dataclass
class Watch:
    """When each event came to each watcher."""

    expected: int
    open: int = 0
    came: dict[str, list[float]] = field(default_factory=dict)
    all_have_it: asyncio.Event = field(default_factory=asyncio.Event)

    def told(self, message: str) -> None:
        now = time.perf_counter()
        data = json.loads(message)
        came = self.came.setdefault(data.get("data", data)["request_id"], [])
        came.append(now)
        if len(came) == self.expected:
            self.all_have_it.set()


WatchOnce = Callable[[ProjectClient, Watch], Coroutine[Any, Any, None]]


async def by_sse(project: ProjectClient, watch: Watch) -> None:
    async with (
        httpx.AsyncClient(base_url=project.access.api, headers=project.http.headers, timeout=60) as http,
        http.stream("GET", f"/api/v1/live/projects/{project.id}") as answer,
    ):
        watch.open += 1
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                watch.told(line.removeprefix("data: "))


async def by_web_socket(project: ProjectClient, watch: Watch) -> None:
    address = project.access.api.replace("http", "ws", 1) + "/api/v1/live/ws"
    async with websockets.connect(address, additional_headers={"X-API-Key": project.key}) as socket:
        watch.open += 1
        async for message in socket:
            watch.told(str(message))


@asynccontextmanager
async def watchers(project: ProjectClient, number: int, watch_once: WatchOnce) -> AsyncIterator[Watch]:
    watch = Watch(expected=number)
    tasks = [asyncio.create_task(watch_once(project, watch)) for _ in range(number)]
    try:
        while watch.open < number:
            await asyncio.sleep(0.05)
        # A WebSocket is open a moment before it has joined.
        await asyncio.sleep(1)
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def latencies(project: ProjectClient, watch: Watch) -> list[float]:
    """Of every event at every watcher, from just before it is handed to the sidecar."""
    taken: list[float] = []
    for number in range(WARM_UP + EVENTS):
        rejected = TaskRejected(request_id=f"{id(watch)}-{number}", project_id=project.id, problem=PROBLEM)
        event = task_rejected(rejected, "bench", datetime.now(UTC)).event
        body = event.model_dump_json(exclude_none=True).encode()
        watch.all_have_it.clear()
        started = time.perf_counter()
        await project.publish_raw("task-events", body)
        async with asyncio.timeout(30):
            await watch.all_have_it.wait()
        if number >= WARM_UP:
            taken += [came - started for came in watch.came[rejected.request_id]]
        await asyncio.sleep(PAUSE_SECONDS)
    return taken


async def measure(folder: Path, table: Table) -> None:
    with (
        console.status("the platform with an instant model"),
        platform(folder, "tests.benchmarks.instant_platform") as running,
    ):
        for number in WATCHERS:
            for name, watch_once in (("Server-Sent Events", by_sse), ("WebSocket", by_web_socket)):
                async with running.project() as project, watchers(project, number, watch_once) as watch:
                    taken = await latencies(project, watch)
                table.add_row(name, str(number), ms(percentile(taken, 50)), ms(percentile(taken, 95)))


def main() -> None:
    table = Table(
        title=f"From publishing to live watchers, embedded, {os.cpu_count()} cores with the watchers on them",
        title_justify="left",
    )
    for column in ("by", "watchers", "p50", "p95"):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), table))
    console.print(table)


if __name__ == "__main__":
    main()
