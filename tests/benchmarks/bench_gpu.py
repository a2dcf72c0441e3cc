"""What a worker makes of its device, beside a bare loop over the same pipeline in the same run, as a table.

make bench-gpu
"""

import asyncio
import dataclasses
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from chassis.clock import SystemClock
from chassis.service import Surroundings, build_app
from contracts.catalog import ModelEntry, read_catalog
from contracts.events import TaskProgressed, WorkerHeartbeat, parse
from contracts.identifiers import task_id_for
from contracts.media import Execution
from contracts.tasks import Phase, Task
from gpu_worker.adapters.engine_process import EngineProcess
from gpu_worker.app import create_around
from gpu_worker.protocol import EngineOptions
from gpu_worker.settings import WorkerSettings
from rich.console import Console
from rich.table import Table

from tests.conftest import TOKEN, Running, World
from tests.unit.gpu_worker.driving import WorkerUnderTest

COUNTS = {"tiny-image": 48, "tiny-video": 12, "tiny-audio": 12}
THREADS = int(os.environ.get("THREADS", max(1, (os.cpu_count() or 1) // 2)))

console = Console()


@dataclass
class Bench:
    """A worker alone, given its tasks as scheduling gives them: the next as soon as the device is free."""

    worker: WorkerUnderTest
    entry: ModelEntry
    numbers: "itertools.count[int]"
    read: int = 0

    async def give(self, together: int) -> list[Task]:
        numbers = list(itertools.islice(self.numbers, together))
        tasks = [await self._assigned(number) for number in numbers]
        for task in tasks:
            batch = f"{tasks[0].id}:1" if together > 1 else None
            await self.worker.deliver_assignment(task, self._name, lease=600, batch=batch, together=together)
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
            id=task_id_for("bench", str(number)),
            model=self.entry.key,
            medium=self.entry.medium,
            params={**self.entry.defaults, "prompt": "a red circle", "seed": number},
        )

    async def _until(self, true: object) -> None:
        assert callable(true)
        while True:
            messages = self.worker.world.bus.messages
            for message in messages[self.read :]:
                self.read += 1
                if true(parse(message.event)):
                    return
            await asyncio.sleep(0.0005)


def _uses(heartbeat: WorkerHeartbeat) -> list[bool]:
    return [run.on_device for run in heartbeat.worker.runs]


@asynccontextmanager
async def a_bench(entry: ModelEntry, folder: Path) -> AsyncIterator[Bench]:
    world = World()
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
        yield Bench(WorkerUnderTest(Running(app, http), world, engine, service), entry, itertools.count())


async def rate(bench: Bench, together: int) -> tuple[float, float]:
    """Results per second, and the share of the time in which the device worked."""
    await bench.give(together)
    await bench.until_free()
    tasks: list[Task] = []
    started = time.perf_counter()
    while len(tasks) < COUNTS[bench.entry.key]:
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


def bare_rate(entry: ModelEntry, batch: int, folder: Path) -> float:
    (folder / "bare").mkdir(exist_ok=True)
    count = COUNTS[entry.key]
    arguments = [entry.key, str(count), str(batch), str(THREADS), str(folder / "models"), str(folder / "bare")]
    command = [sys.executable, "-m", "tests.benchmarks.bare_loop", *arguments]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return count / float(answer.stdout)


async def measure(entry: ModelEntry, folder: Path, table: Table) -> None:
    async with a_bench(entry, folder) as bench:
        cold = await seconds_to_first_step(bench)
        warm = statistics.median([await seconds_to_first_step(bench) for _ in range(9)])
        table.add_row(
            f"{entry.key}: assignment to first step", ms(warm), "", f"{ms(cold)} when the model must be loaded"
        )
        for together in sorted({1, entry.batching.max}):
            bare_alone = await asyncio.to_thread(bare_rate, entry, 1, folder)
            bare = await asyncio.to_thread(bare_rate, entry, together, folder) if together > 1 else bare_alone
            ours, busy = await rate(bench, together)
            times = f"{ours / bare_alone:.2f} of a loop one at a time" if together > 1 else ""
            table.add_row(
                f"{entry.key}, {together} at a time",
                f"{ours:.2f}/s",
                f"{bare:.2f}/s",
                f"ratio {ours / bare:.2f}, device busy {busy:.0%}; {times}".removesuffix("; "),
            )


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def main() -> None:
    table = Table(title=f"A worker with {THREADS} CPU thread(s), no GPU", title_justify="left")
    for column in ("what", "worker", "bare loop", "how"):
        table.add_column(column)
    for entry in read_catalog(only=list(COUNTS)).models:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(entry, Path(folder), table))
    console.print(table)


if __name__ == "__main__":
    main()
