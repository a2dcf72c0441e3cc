"""What the distributed platform costs on one machine, beside Celery and Redis doing the same chain.

Nothing here is asserted: machines differ, ratios within one run do not.

    make bench-distributed              a minute of steady events
    make bench-distributed MINUTES=10   ten of them
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.celery_chain.running import RedisMissing, celery_system
from tests.benchmarks.distributed.events import Broker
from tests.benchmarks.distributed.measuring import (
    Load,
    Passage,
    Receiver,
    System,
    cpu_seconds,
    passages,
    percentile,
    push,
)
from tests.benchmarks.distributed.platform import PlatformSystem, platform_system

WARM_UP = 50
ONE_BY_ONE, PAUSE_SECONDS = 60, 0.05
IN_FLIGHT = 8
TOGETHER = 200
PUSHED = 400
IDLE_SECONDS = 10
LOOK_EVERY_SECONDS = 5
BACKLOG_SECONDS = 60
"""How long tasks that were submitted too fast are waited for, before what is left of them is said."""

console = Console(width=130)


@dataclass(frozen=True)
class Measured:
    system: str
    alone: list[Passage]
    together: list[Passage]
    load: Load
    idle: dict[str, float]
    """CPU milliseconds per second of doing nothing, by process."""


@dataclass(frozen=True)
class Steady:
    minutes: float
    tasks: int
    events_per_minute: float
    behind: list[int]
    """At every look, the first before anything was sent and the last after a rest."""
    cpu_share: float
    """Of all cores, by the platform."""
    untold: int
    """Tasks that were not done when they had been waited for."""


async def measure(system: System) -> Measured:
    with console.status(f"{system.name}: warming up"):
        await passages(system, WARM_UP, IN_FLIGHT)
        await asyncio.sleep(2)
    with console.status(f"{system.name}: at rest"):
        before = cpu_seconds(system)
        await asyncio.sleep(IDLE_SECONDS)
        after = cpu_seconds(system)
        idle = {name: (after[name] - before[name]) * 1000 / IDLE_SECONDS for name in after}
    with console.status(f"{system.name}: one task at a time"):
        alone = await passages(system, ONE_BY_ONE, 1, PAUSE_SECONDS)
    with console.status(f"{system.name}: {IN_FLIGHT} tasks in flight"):
        together = await passages(system, TOGETHER, IN_FLIGHT)
        await asyncio.sleep(2)
    with console.status(f"{system.name}: as many as go through"):
        load = await push(system, PUSHED, IN_FLIGHT)
    return Measured(system.name, alone, together, load, idle)


async def steady(platform: PlatformSystem, per_minute: int, minutes: float) -> Steady:
    """Submits at an even pace so that about so many events a minute go over the bus."""
    broker = Broker(platform.cluster.broker_settings())
    before = await broker.look()
    await passages(platform, WARM_UP, IN_FLIGHT)
    await asyncio.sleep(2)
    start = await broker.look()
    pace = per_minute / 60 / ((start.published - before.published) / WARM_UP)
    behind, tasks, submitted = [start.behind], int(pace * minutes * 60), set[asyncio.Task[str]]()
    cpu, started = cpu_seconds(platform), time.monotonic()

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            behind.append((await broker.look()).behind)

    looking = asyncio.create_task(look())
    for number in range(tasks):
        await asyncio.sleep(max(0.0, started + number / pace - time.monotonic()))
        submitted.add(asyncio.create_task(platform.submit()))
    ids = await asyncio.gather(*submitted)
    sent, seconds, spent = await broker.look(), time.monotonic() - started, cpu_seconds(platform)
    looking.cancel()
    _, untold = await asyncio.wait([platform.receiver.told[task_id] for task_id in ids], timeout=BACKLOG_SECONDS)
    await asyncio.sleep(3)
    behind.append((await broker.look()).behind)
    used = sum(spent[name] - cpu[name] for name in spent if name != "client") / seconds / (os.cpu_count() or 1)
    return Steady(seconds / 60, tasks, (sent.published - start.published) / seconds * 60, behind, used, len(untold))


def side_by_side(ours: Measured, theirs: Measured | None) -> Table:
    table = Table(title=f"Accept, generate, store, notify on {os.cpu_count()} cores", title_justify="left")
    columns = ("what", ours.system, theirs.system if theirs else "Celery: not measured", "ratio")
    for column in columns:
        table.add_column(column, justify="left" if column == "what" else "right")

    def row(what: str, mine: float, other: float | None, unit: str) -> None:
        ratio = f"{mine / other:.2f}" if other else ""
        table.add_row(what, f"{mine:.1f}{unit}", f"{other:.1f}{unit}" if other is not None else "", ratio)

    row("tasks through everything", ours.load.rate, theirs.load.rate if theirs else None, "/s")
    for how, name in (("one at a time", "alone"), (f"{IN_FLIGHT} in flight", "together")):
        for end in ("done", "told"):
            for percent in (50, 95):
                mine, other = (latency(one, name, end, percent) if one else None for one in (ours, theirs))
                row(f"submit to {end}, {how}, p{percent}", mine or 0.0, other, " ms")
    row("CPU per task", ours.load.whole_cpu_ms, theirs.load.whole_cpu_ms if theirs else None, " ms")
    idle = [
        sum(cost for name, cost in one.idle.items() if name != "client") / 10 if one else None for one in (ours, theirs)
    ]
    row("CPU at rest, of one core", idle[0] or 0.0, idle[1], " %")
    return table


def latency(measured: Measured, name: str, end: str, percent: int) -> float:
    passages: Sequence[Passage] = getattr(measured, name)
    return percentile([getattr(one, f"to_{end}") * 1000 for one in passages], percent)


def costs(measured: Measured) -> Table:
    table = Table(title=f"CPU of {measured.system}", title_justify="left")
    table.add_column("process")
    for column in ("ms per task", "share", "ms per second at rest"):
        table.add_column(column, justify="right")
    whole = measured.load.whole_cpu_ms
    for name, cost in sorted(measured.load.cpu_ms.items(), key=lambda item: -item[1]):
        share = f"{cost / whole:.0%}" if name != "client" else ""
        table.add_row(name, f"{cost:.2f}", share, f"{measured.idle[name]:.1f}")
    return table


def steadiness(found: Steady) -> Table:
    table = Table(title="Events at an even pace, all topics", title_justify="left")
    for column in ("events per minute", "for minutes", "tasks", "behind before", "on the way, first and second half",
                   "behind after a rest", "not done by then", "platform's share of all cores"):  # fmt: skip
        table.add_column(column, justify="right")
    before, *way, after = found.behind
    half = len(way) // 2 or 1
    means = [f"{sum(part) / max(1, len(part)):.0f}" for part in (way[:half], way[half:])]
    table.add_row(
        f"{found.events_per_minute:.0f}", f"{found.minutes:.1f}", str(found.tasks), str(before), ", ".join(means),
        str(after), str(found.untold), f"{found.cpu_share:.0%}",
    )  # fmt: skip
    return table


@asynccontextmanager
async def scratch() -> AsyncIterator[tuple[Path, Receiver]]:
    with tempfile.TemporaryDirectory(prefix="movie-tasks-bench-") as folder:
        # Postgres runs as a user of its own, who must be able to get there.
        Path(folder).chmod(0o711)
        async with Receiver().listening() as receiver:
            yield Path(folder), receiver


async def bench(options: argparse.Namespace) -> None:
    """Prints each table as soon as it is known: what comes after it takes minutes."""
    theirs = None
    async with scratch() as (folder, receiver):
        if options.only != "platform":
            with celery_system(folder / "celery", receiver) as celery:
                theirs = await measure(celery)
            console.print(costs(theirs))
        if options.only != "celery":
            async with platform_system(folder / "platform", receiver, options.workers) as platform:
                ours = await measure(platform)
                console.print(costs(ours), side_by_side(ours, theirs))
                if options.minutes:
                    with console.status(f"{platform.name}: {options.events} events a minute"):
                        held = await steady(platform, options.events, options.minutes)
                    console.print(steadiness(held))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1, help="of steady events; 0 for none")
    parser.add_argument("--events", type=int, default=10_000, help="a minute, over all topics")
    parser.add_argument("--workers", type=int, default=2, help="image workers, each with a sidecar")
    parser.add_argument("--only", choices=("platform", "celery"))
    options = parser.parse_args()
    try:
        asyncio.run(bench(options))
    except RedisMissing as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
