"""What a worker makes of its device, beside a bare loop over the same pipeline in the same run, as a table.

make bench-gpu
"""

import asyncio
import dataclasses
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from chassis.clock import SystemClock
from chassis.service import Surroundings, build_app
from contracts.catalog import ModelEntry, read_catalog
from contracts.events import FeedWatched, Message, TaskProgressed, WatchedPart, WorkerHeartbeat, feed_watched, parse
from contracts.identifiers import task_id_for
from contracts.media import Execution
from contracts.tasks import Phase, Task
from contracts.testing import InMemoryBus
from gpu_worker.adapters.engine_process import EngineProcess
from gpu_worker.app import create_around
from gpu_worker.protocol import EngineOptions
from gpu_worker.settings import WorkerSettings
from rich.console import Console
from rich.table import Table

from tests.conftest import TOKEN, Running, World
from tests.unit.gpu_worker.driving import WorkerUnderTest

THREADS = int(os.environ.get("THREADS", max(1, (os.cpu_count() or 1) // 2)))

ROUNDS = int(os.environ.get("ROUNDS", "3"))
"""One after the other, worker and loop in each: a machine's pace changes from minute to minute."""
PROJECT = "bench"

console = Console()


@dataclass(frozen=True)
class Case:
    """So many runs of a model, one at a time and as many together as go."""

    model: str
    runs: int
    params: Mapping[str, int] = field(default_factory=dict)
    together: bool = True
    watched: bool = False
    """By somebody who is shown previews."""

    @property
    def name(self) -> str:
        told = [f"{name} {value}" for name, value in self.params.items()]
        return ", ".join([self.model, *told, *(["watched"] if self.watched else [])])


LONG = {"width": 256, "height": 256, "steps": 50}
"""Runs of seconds, as nearly all are on a GPU: what comes around each weighs less."""
CASES = (
    Case("tiny-image", 48),
    Case("tiny-image", 8, LONG, together=False),
    Case("tiny-image", 8, LONG, together=False, watched=True),
    Case("tiny-video", 12),
    Case("tiny-audio", 12),
)


class WaitedForBus(InMemoryBus):
    """To be waited for, because looking all the time would take from the processor that is measured."""

    def __init__(self) -> None:
        super().__init__()
        self._said = asyncio.Event()

    async def publish(self, message: Message) -> None:
        await super().publish(message)
        self._said.set()

    async def wait(self) -> None:
        """For the next message, or for one since the last wait."""
        await self._said.wait()
        self._said.clear()


@dataclass
class Bench:
    """A worker alone, given its tasks as scheduling gives them: the next as soon as the device is free."""

    worker: WorkerUnderTest
    bus: WaitedForBus
    entry: ModelEntry
    case: Case
    numbers: "itertools.count[int]"
    read: int = 0

    async def watch(self) -> None:
        watched = FeedWatched(parts=(WatchedPart(project_id=PROJECT),), seconds=60)
        await self.worker.running.deliver(feed_watched(watched, "notification", self.worker.world.clock.now()))

    async def give(self, together: int) -> list[Task]:
        numbers = list(itertools.islice(self.numbers, together))
        tasks = [await self._assigned(number) for number in numbers]
        for task in tasks:
            batch = f"{tasks[0].id}:1" if together > 1 else None
            await self.worker.deliver_assignment(task, self._name, lease=600, batch=batch, together=together)
        # What was said before this is not about these.
        self.read = len(self.worker.world.bus.messages)
        return tasks

    async def until_free(self) -> None:
        await self._until(lambda event: isinstance(event, WorkerHeartbeat) and not any(_uses(event)))

    async def until_a_step(self) -> None:
        await self._until(lambda event: isinstance(event, TaskProgressed))

    async def executions(self, tasks: list[Task]) -> list[Execution]:
        found = [await self.worker.reaches(task, Phase.STORING) for task in tasks]
        return [task.produced.provenance for task in found if task.produced is not None]

    @property
    def _name(self) -> str:
        return f"gpu-worker-{self.entry.medium.value}-bench"

    async def _assigned(self, number: int) -> Task:
        return await self.worker.assigned(
            self._name,
            id=task_id_for(PROJECT, str(number)),
            project_id=PROJECT,
            model=self.entry.key,
            medium=self.entry.medium,
            params={**self.entry.defaults, **self.case.params, "prompt": "a red circle", "seed": number},
        )

    async def _until(self, true: object) -> None:
        assert callable(true)
        while True:
            messages = self.worker.world.bus.messages
            for message in messages[self.read :]:
                self.read += 1
                if true(parse(message.event)):
                    return
            await self.bus.wait()


def _uses(heartbeat: WorkerHeartbeat) -> list[bool]:
    return [run.on_device for run in heartbeat.worker.runs]


@asynccontextmanager
async def a_bench(entry: ModelEntry, case: Case, folder: Path) -> AsyncIterator[Bench]:
    bus = WaitedForBus()
    world = World(bus=bus)
    outside = dataclasses.replace(world.outside, clock=SystemClock())
    settings = WorkerSettings(
        worker_medium=entry.medium, worker_scratch=folder / "scratch", media_url="memory:///", replica="bench"
    )
    options = EngineOptions(
        catalog=world.catalog, models_folder=str(folder / "models"), threads=THREADS, log_level="ERROR"
    )
    engine: Any = EngineProcess(options)
    service = create_around(engine, engine.running, settings, outside)
    app = build_app([service], Surroundings(publisher=world.bus, clock=outside.clock, app_api_token=TOKEN))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://movie-tasks") as http,
    ):
        while not engine.ready:
            await asyncio.sleep(0.01)
        yield Bench(WorkerUnderTest(Running(app, http), world, engine, service), bus, entry, case, itertools.count())


@dataclass(frozen=True)
class Round:
    """Results per second, and the share of the time in which the worker's device worked."""

    ours: float
    bare: float
    bare_alone: float
    """The bare loop, one at a time."""
    busy: float


async def rate(bench: Bench, together: int) -> tuple[float, float]:
    """Results per second, and the share of the time in which the device worked."""
    await bench.give(together)
    await bench.until_free()
    tasks: list[Task] = []
    started = time.perf_counter()
    while len(tasks) < bench.case.runs:
        if bench.case.watched:
            await bench.watch()
        tasks += await bench.give(together)
        await bench.until_free()
    executions = await bench.executions(tasks)
    seconds = time.perf_counter() - started
    busy = sum(execution.generate_seconds / execution.batch for execution in executions)
    return len(tasks) / seconds, busy / seconds


async def seconds_to_first_step(bench: Bench) -> float:
    started = time.perf_counter()
    await bench.give(1)
    await bench.until_a_step()
    taken = time.perf_counter() - started
    await bench.until_free()
    return taken


def bare_rate(case: Case, batch: int, folder: Path) -> float:
    (folder / "bare").mkdir(exist_ok=True)
    numbers = [str(number) for number in (case.runs, batch, THREADS)]
    arguments = [case.model, *numbers, str(folder / "models"), str(folder / "bare"), json.dumps(case.params)]
    command = [sys.executable, "-m", "tests.benchmarks.bare_loop", *arguments]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return case.runs / float(answer.stdout)


async def measure_round(bench: Bench, case: Case, together: int, folder: Path) -> Round:
    bare_alone = await asyncio.to_thread(bare_rate, case, 1, folder)
    bare = await asyncio.to_thread(bare_rate, case, together, folder) if together > 1 else bare_alone
    ours, busy = await rate(bench, together)
    return Round(ours, bare, bare_alone, busy)


async def measure(case: Case, folder: Path, table: Table) -> None:
    [entry] = read_catalog(only=[case.model]).models
    async with a_bench(entry, case, folder) as bench:
        cold = await seconds_to_first_step(bench)
        if not case.params:
            warm = statistics.median([await seconds_to_first_step(bench) for _ in range(9)])
            table.add_row(
                f"{case.name}: assignment to first step", ms(warm), "", f"{ms(cold)} when the model must be loaded"
            )
        alone = 0.0
        for together in sorted({1, entry.batching.max if case.together else 1}):
            rounds = [await measure_round(bench, case, together, folder) for _ in range(ROUNDS)]
            ratios = sorted(one.ours / one.bare for one in rounds)
            ours = statistics.median(one.ours for one in rounds)
            alone = alone or ours
            times = statistics.median(one.ours / one.bare_alone for one in rounds)
            table.add_row(
                f"{case.name}, {together} at a time",
                f"{ours:.2f}/s",
                f"{statistics.median(one.bare for one in rounds):.2f}/s",
                f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), "
                f"device busy {statistics.median(one.busy for one in rounds):.0%}"
                + (f"; {ours / alone:.2f} of one at a time, {times:.2f} of a loop that is" if together > 1 else ""),
            )


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def main() -> None:
    table = Table(title=f"A worker with {THREADS} CPU thread(s), no GPU", title_justify="left")
    for column in ("what", "worker", "bare loop", "how"):
        table.add_column(column)
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(case, Path(folder), table))
    console.print(table)


if __name__ == "__main__":
    main()
