"""How far the estimates are off that tasks carry from the start, as a table. Nothing here is asserted.

make bench-estimates

Two projects ask in bursts, for pictures and sounds of many sizes, of a platform that has never run before.
What counts is what the answer to each request said.
"""

import argparse
import asyncio
import os
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.benchmarks.bench import percentile, platform
from tests.clients import ProjectClient

FIRST = 40
"""So many tasks are needed before anything is known."""
console = Console()


@dataclass(frozen=True)
class Outcome:
    medium: str
    took: float
    p50: float
    p90: float
    """All in seconds from when it was asked for."""


def wanted(draw: random.Random) -> tuple[str, dict[str, Any]]:
    if draw.random() < 0.3:
        return "tiny-audio", {"prompt": "a rising sine", "steps": draw.choice([4, 8, 16])}
    side = draw.choice([64, 128])
    return "tiny-image", {
        "prompt": "a red circle",
        "width": side,
        "height": side,
        "steps": draw.choice([2, 4, 8, 12]),
        "seed": draw.randrange(1000),
    }


async def asked(projects: Sequence[ProjectClient], tasks: int, draw: random.Random) -> list[Outcome]:
    outcomes: list[Outcome] = []
    waiting: list[asyncio.Task[Outcome]] = []
    with Progress(console=console) as progress:
        shown = progress.add_task("tasks", total=tasks)
        while len(waiting) < tasks:
            for _ in range(min(draw.randint(1, 10), tasks - len(waiting))):
                model, params = wanted(draw)
                priority = draw.choice(["low", "medium", "medium", "high"])
                project = draw.choice(projects)
                task = await project.submit(model, params=params, priority=priority)
                waiting.append(asyncio.create_task(outcome(project, task)))
            await asyncio.sleep(draw.expovariate(1 / 3))
            progress.update(shown, completed=sum(one.done() for one in waiting))
        for one in waiting:
            outcomes.append(await one)
            progress.update(shown, completed=len(outcomes))
    return outcomes


async def outcome(project: ProjectClient, asked_for: dict[str, Any]) -> Outcome:
    done = asked_for
    while done["status"] not in ("done", "failed"):
        await asyncio.sleep(1)
        done = await project.status(asked_for["id"])
    begun, said = datetime.fromisoformat(asked_for["created_at"]), asked_for["estimate"]

    def after(moment: str) -> float:
        return (datetime.fromisoformat(moment) - begun).total_seconds()

    return Outcome(asked_for["medium"], after(done["finished_at"]), after(said["p50_at"]), after(said["p90_at"]))


def row(table: Table, name: str, outcomes: Sequence[Outcome]) -> None:
    off = [abs(one.took - one.p50) for one in outcomes]
    kept = [sum(one.took <= said(one) for one in outcomes) / len(outcomes) for said in (_p50, _p90)]
    table.add_row(
        name,
        str(len(outcomes)),
        f"{percentile([one.took for one in outcomes], 50):.1f} s",
        f"{percentile(off, 50):.1f} s",
        f"{percentile(off, 90):.1f} s",
        *(f"{share:.0%}" for share in kept),
    )


def _p50(one: Outcome) -> float:
    return one.p50


def _p90(one: Outcome) -> float:
    return one.p90


async def measure(folder: Path, tasks: int, seed: int, table: Table) -> None:
    with platform(folder, "embedded", "serve") as running:
        async with running.project() as one, running.project() as other:
            outcomes = await asked([one, other], tasks, random.Random(seed))
    row(table, f"the first {FIRST}", outcomes[:FIRST])
    for medium in sorted({one.medium for one in outcomes}):
        row(table, f"{medium}, from then on", [one for one in outcomes[FIRST:] if one.medium == medium])
    row(table, "all, from then on", outcomes[FIRST:])


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--tasks", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    table = Table(title=f"Estimates in the answer to a request, embedded, {os.cpu_count()} cores", title_justify="left")
    for column in ("tasks", "number", "took, p50", "p50 off by, p50", "p90", "done by p50", "done by p90"):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), given.tasks, given.seed, table))
    console.print(table)


if __name__ == "__main__":
    main()
