"""What the platform costs, as a table. Nothing here is asserted: machines differ, ratios within one run do not.

make bench
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.clients import ProjectClient
from tests.integration.platform import Platform

SUBMITS = 200
WARM_STARTS = 60
INSTANT_TASKS = 300
IMAGES = 40
ROUNDS = 3

console = Console()


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


@contextmanager
def platform(folder: Path, *command: str) -> Iterator[Platform]:
    started = Platform(folder, command=[sys.executable, "-m", *command], settings={"MOVIE_TASKS_LOG_LEVEL": "WARNING"})
    started.start()
    try:
        yield started
    finally:
        started.stop()


async def submit_seconds(project: ProjectClient) -> list[float]:
    taken = []
    for _ in range(SUBMITS):
        started = time.perf_counter()
        await project.submit(params={"steps": 1})
        taken.append(time.perf_counter() - started)
    return taken


async def drained(project: ProjectClient, tasks: int) -> list[dict[str, Any]]:
    """All tasks once they have ended."""
    while (await project.http.get(f"/api/v1/projects/{project.id}/queue")).json()["waiting"]:
        await asyncio.sleep(0.2)
    while True:
        ended: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            query: dict[str, Any] = {"limit": 200, "status": ["done", "failed"]}
            query |= {"cursor": cursor} if cursor else {}
            page = (await project.http.get(f"/api/v1/projects/{project.id}/tasks", params=query)).json()
            ended += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        if len(ended) >= tasks:
            assert all(task["status"] == "done" for task in ended)
            return ended
        await asyncio.sleep(0.1)


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def instant_throughput(project: ProjectClient) -> float:
    """Tasks per second from the first submit to the last `done`, submitted eight at a time."""
    places = asyncio.Semaphore(8)

    async def submit() -> None:
        async with places:
            await project.submit(params={"steps": 1})

    started = datetime.now(UTC).timestamp()
    await asyncio.gather(*(submit() for _ in range(INSTANT_TASKS)))
    ended = await drained(project, INSTANT_TASKS)
    return INSTANT_TASKS / (max(moment(task["finished_at"]) for task in ended) - started)


async def start_seconds(project: ProjectClient) -> list[float]:
    """From sending the request to the record saying `generating`, one task at a time on a warm worker."""
    taken = []
    for _ in range(WARM_STARTS):
        sent = datetime.now(UTC).timestamp()
        task = await project.make(params={"steps": 1})
        before = moment(task["created_at"]) - sent
        taken.append(before + task["phase_seconds"]["queued"] + task["phase_seconds"]["assigned"])
    return taken


async def image_rate(project: ProjectClient) -> float:
    """Images per second while the worker always has a next one."""
    tasks = [await project.submit() for _ in range(IMAGES + 1)]
    made = [await project.wait(task["id"], within=300) for task in tasks]
    finished = sorted(moment(task["finished_at"]) for task in made)
    return IMAGES / (finished[-1] - finished[0])


def bare_rate(models: Path, folder: Path, threads: int) -> float:
    arguments = ["tiny-image", str(IMAGES), "1", str(threads), str(models), str(folder)]
    command = [sys.executable, "-m", "tests.benchmarks.bare_loop", *arguments]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return IMAGES / float(answer.stdout)


async def measure(folder: Path, table: Table) -> None:
    with (
        console.status("the platform with an instant model"),
        platform(folder / "instant", "tests.benchmarks.instant_platform") as instant,
    ):
        async with instant.project() as project:
            await project.make(params={"steps": 1})
            taken = await submit_seconds(project)
            table.add_row(
                "submit", f"{ms(percentile(taken, 50))}", f"{ms(percentile(taken, 95))}", f"{SUBMITS} one by one"
            )
            await drained(project, SUBMITS + 1)
        async with instant.project() as project:
            rate = await instant_throughput(project)
            table.add_row(
                "tasks through the whole platform, instant model", f"{rate:.1f}/s", "", f"{INSTANT_TASKS}, 8 at once"
            )
    with console.status("the platform with tiny models"), platform(folder / "real", "embedded", "serve") as real:
        async with real.project() as project:
            await project.make(params={"steps": 1})
            taken = await start_seconds(project)
            note = f"{WARM_STARTS} one by one, warm worker"
            table.add_row("submit to generating", ms(percentile(taken, 50)), ms(percentile(taken, 95)), note)
        threads = max(1, (os.cpu_count() or 1) // 3)
        ratios = []
        for _ in range(ROUNDS):
            bare = await asyncio.to_thread(bare_rate, folder / "real" / "models", folder, threads)
            async with real.project() as project:
                ours = await image_rate(project)
            ratios.append(ours / bare)
            table.add_row(
                "images: platform against bare loop",
                f"{ours:.2f}/s",
                f"{bare:.2f}/s",
                f"ratio {ours / bare:.2f}",
            )
        table.add_row(
            "the same, median of the ratios",
            f"{statistics.median(ratios):.2f}",
            "",
            f"{ROUNDS} rounds, {IMAGES} images each",
        )


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def main() -> None:
    table = Table(title=f"Movie Tasks on {os.cpu_count()} cores, embedded", title_justify="left")
    for column in ("what", "p50, or rate", "p95, or bare", "how"):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), table))
    console.print(table)


if __name__ == "__main__":
    main()
