"""What a dead receiver costs the others: the notification service over SQLite, receivers on sockets of this process.

make bench-webhooks
"""

import asyncio
import dataclasses
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from chassis.clock import SystemClock
from contracts.events import TaskChanged, parse, task_changed
from contracts.identifiers import task_id_for
from contracts.tasks import Phase
from contracts.testing.examples import a_task_in
from cryptography.fernet import Fernet
from notification.app import create
from notification.settings import NotificationSettings
from rich.console import Console
from rich.table import Table

from tests.conftest import Serve, World, serving_of

ENDPOINTS = 50
PUSHED = 20
"""Events for each project, all at once."""
PACED_SECONDS = 15
PACED_PER_SECOND = 20
ROUNDS = 3

console = Console()


class Receiver(asyncio.Protocol):
    """Takes webhooks as cheaply as it can; a dead one accepts connections and never says a word."""

    def __init__(self, told: "Told", dead: bool) -> None:
        self._told = told
        self._dead = dead
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._dead and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].lower().split(b"\r\n")
            [length] = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
            if len(self._buffer) < (whole := end + 4 + length):
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._told.at[json.loads(body)["data"]["id"]] = time.perf_counter()
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


@dataclass
class Told:
    """When each task's end was heard by its receiver."""

    at: dict[str, float] = field(default_factory=dict)

    async def wait_for(self, tasks: Sequence[str]) -> None:
        while not self.at.keys() >= set(tasks):
            await asyncio.sleep(0.002)


@dataclass(frozen=True)
class Measured:
    per_second: float
    cpu_ms: float
    """For each webhook, its event and its receiver included."""
    latencies: list[float]


@dataclass
class Bench:
    """The service with an endpoint in each of its projects; what is measured is all of them but the first."""

    tell: Any
    told: Told
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def end_a_task(self, project: int) -> str:
        task = a_task_in(Phase.DONE, project_id=f"p{project}", id=task_id_for(f"p{project}", str(next(self.numbers))))
        envelope = task_changed(task, "bench").event
        await self.tell(parse(envelope), envelope)
        return task.id

    async def pushed(self) -> tuple[float, float]:
        """Webhooks a second, and milliseconds of CPU for each, when everything happens at once."""
        started, spent, wanted = time.perf_counter(), time.process_time(), list[str]()
        for _ in range(PUSHED):
            for project in range(ENDPOINTS):
                task_id = await self.end_a_task(project)
                wanted += [task_id] if project else []
            await asyncio.sleep(0)
        await self.told.wait_for(wanted)
        spent = time.process_time() - spent
        return len(wanted) / (max(self.told.at[task_id] for task_id in wanted) - started), 1000 * spent / len(wanted)

    async def paced(self) -> list[float]:
        """Seconds from an event to its receiver, when something happens all the time."""
        began: dict[str, float] = {}
        started = time.perf_counter()
        for number in range(PACED_SECONDS * PACED_PER_SECOND):
            await asyncio.sleep(max(0.0, started + number / PACED_PER_SECOND - time.perf_counter()))
            project, now = number % ENDPOINTS, time.perf_counter()
            task_id = await self.end_a_task(project)
            if project:
                began[task_id] = now
        await self.told.wait_for(list(began))
        return [self.told.at[task_id] - at for task_id, at in began.items()]


@asynccontextmanager
async def bench(folder: Path, dead: bool) -> AsyncIterator[Bench]:
    world, told = World(), Told()
    settings = NotificationSettings(
        notification_database=f"sqlite:///{folder}/notification.db",
        admin_key="an-admin-key-for-the-bench",
        webhook_encryption_keys=Fernet.generate_key().decode(),
        webhook_private_hosts="127.0.0.0/8",
        media_url="memory:///",
        replica="bench",
    )
    service = create(settings, dataclasses.replace(world.outside, clock=SystemClock()))
    serve: Serve = serving_of(world)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(serve([service]))
        loop = asyncio.get_running_loop()
        for project in range(ENDPOINTS):
            is_dead = dead and project == 0
            server = await loop.create_server(lambda is_dead=is_dead: Receiver(told, is_dead), "127.0.0.1", 0)  # type: ignore[misc]
            stack.callback(server.close)
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            headers = {"X-API-Key": await world.add_project(f"p{project}", f"k{project}")}
            (await running.http.post("/api/v1/webhooks", json={"url": url}, headers=headers)).raise_for_status()
        [tell] = [one.handlers[TaskChanged] for one in service.subscriptions if TaskChanged in one.handlers]
        yield Bench(tell, told)


async def measured(dead: bool) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        async with bench(Path(folder), dead) as one:
            return Measured(*await one.pushed(), await one.paced())


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    found: dict[bool, list[Measured]] = {False: [], True: []}
    for _, dead in itertools.product(range(ROUNDS), (False, True)):
        found[dead].append(await measured(dead))
    table = Table(
        title=f"{ENDPOINTS} endpoints of {ENDPOINTS} projects; the same {ENDPOINTS - 1} measured in both rows"
    )
    for heading in ("", "webhooks/s at once", "CPU ms each", "p50 ms", "p95 ms", "slowest ms"):
        table.add_column(heading, justify="right" if heading else "left")
    for dead, rounds in found.items():
        latencies = sorted(1000 * seconds for one in rounds for seconds in one.latencies)
        cuts = statistics.quantiles(latencies, n=100)
        rates = [one.per_second for one in rounds]
        table.add_row(
            "one dead" if dead else "all healthy",
            f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})",
            f"{statistics.median(one.cpu_ms for one in rounds):.1f}",
            f"{cuts[49]:.1f}",
            f"{cuts[94]:.1f}",
            f"{latencies[-1]:.0f}",
        )
    console.print(table)
    console.print(
        f"{ROUNDS} rounds of each, alternating: {PUSHED * ENDPOINTS} events at once, then {PACED_PER_SECOND} a second "
        f"for {PACED_SECONDS} s, from the event to the receiver. The dead one accepts and never answers."
    )


if __name__ == "__main__":
    asyncio.run(main())
