"""What is measured of any system that takes tasks and tells when they are done."""

import asyncio
import json
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import psutil


@dataclass
class Receiver:
    """Takes webhooks as cheaply as it can and notes when each task was told, by the task's id."""

    url: str = ""
    told: "defaultdict[str, asyncio.Future[Told]]" = field(
        default_factory=lambda: defaultdict(lambda: asyncio.get_running_loop().create_future())
    )

    def note(self, body: bytes) -> None:
        event = json.loads(body)
        task = event.get("data", event)
        future = self.told[task["id"]]
        if not future.done():
            future.set_result(Told(_done_at(task), time.time(), str(task["status"])))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        server = await asyncio.get_running_loop().create_server(lambda: _Http(self), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"
        try:
            yield self
        finally:
            server.close()


@dataclass(frozen=True)
class Told:
    """When a task was done, by the system's own word, and when the receiver heard of it."""

    done_at: float
    told_at: float
    status: str


def _done_at(task: Mapping[str, Any]) -> float:
    if "done_at" in task:
        return float(task["done_at"])
    return datetime.fromisoformat(task["finished_at"]).timestamp()


class _Http(asyncio.Protocol):
    """Enough of HTTP/1.1 for a webhook with a Content-Length."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].lower().split(b"\r\n")
            [length] = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
            if len(self._buffer) < (whole := end + 4 + length):
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._receiver.note(body)
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


class System(Protocol):
    """What is measured."""

    @property
    def name(self) -> str: ...

    @property
    def receiver(self) -> Receiver: ...

    async def submit(self) -> str:
        """The id of a task that has been taken."""

    def processes(self) -> dict[str, psutil.Process]:
        """What it consists of. Children count as their parent."""


@dataclass(frozen=True)
class Passage:
    """One task's way through a system, in seconds from sending it."""

    to_done: float
    to_told: float


@dataclass(frozen=True)
class Load:
    """Tasks that were pushed through as fast as they went."""

    tasks: int
    seconds: float
    cpu_ms: dict[str, float]
    """Per task, by process; `client` is the one that submits, waits and measures."""

    @property
    def rate(self) -> float:
        return self.tasks / self.seconds

    @property
    def whole_cpu_ms(self) -> float:
        return sum(cost for name, cost in self.cpu_ms.items() if name != "client")


async def passage(system: System) -> Passage:
    sent = time.time()
    told = await system.receiver.told[await system.submit()]
    assert told.status == "done", told
    return Passage(told.done_at - sent, told.told_at - sent)


async def passages(system: System, count: int, in_flight: int, pause: float = 0.0) -> list[Passage]:
    """`count` ways, never more than `in_flight` at once, each place resting for `pause` seconds after one."""
    left = iter(range(count))
    found: list[Passage] = []

    async def place() -> None:
        for _ in left:
            found.append(await passage(system))
            await asyncio.sleep(pause)

    await asyncio.gather(*(place() for _ in range(in_flight)))
    return found


async def push(system: System, count: int, submitters: int) -> Load:
    """Submits all there is, and waits until the last is told."""
    left, ids = iter(range(count)), list[str]()

    async def submitter() -> None:
        for _ in left:
            ids.append(await system.submit())

    before, started = cpu_seconds(system), time.time()
    await asyncio.gather(*(submitter() for _ in range(submitters)))
    told = await asyncio.gather(*(system.receiver.told[task_id] for task_id in ids))
    assert all(one.status == "done" for one in told)
    seconds = max(one.told_at for one in told) - started
    # What follows a task's end is its cost too.
    await asyncio.sleep(1)
    after = cpu_seconds(system)
    return Load(count, seconds, {name: (after[name] - before[name]) * 1000 / count for name in after})


def cpu_seconds(system: System) -> dict[str, float]:
    """User and system time of every process of the system, and of this one."""
    return {name: _spent(process) for name, process in system.processes().items()} | {"client": _own()}


def _spent(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return sum(_of(one) for one in family)


def _of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    # The children that have ended are in their parent's account.
    return float(times.user + times.system + times.children_user + times.children_system)


def _own() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]
