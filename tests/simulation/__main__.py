"""`python -m tests.simulation --seed 1 --runs 1000`: many runs, and a table of what they met."""

import argparse
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation.runs import Report, simulate

FAILURES_SHOWN = 5
TAIL = 60


@dataclass
class Totals:
    runs: int = 0
    tasks: int = 0
    virtual_seconds: float = 0.0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    failed: list[Report] = field(default_factory=list)

    def add(self, report: Report) -> None:
        self.runs += 1
        self.tasks += report.tasks
        self.virtual_seconds += report.virtual_seconds
        self.seconds += report.seconds
        self.faults.update(report.faults)
        if report.violations:
            self.failed.append(report)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="the first seed; drawn when left out")
    parser.add_argument("--runs", type=int, default=200, help="how many seeds, one after the other")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes share them")
    parser.add_argument("--trace", action="store_true", help="print everything that happened in each run")
    chosen = parser.parse_args()
    first = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(1_000_000_000)
    console, totals = Console(), Totals()
    seeds = range(first, first + chosen.runs)
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[failed]} failed"), console=console) as progress:
        bar = progress.add_task("runs", total=len(seeds), failed=0)
        for report in _run(seeds, chosen.jobs, sys.maxsize if chosen.trace else 0):
            totals.add(report)
            if chosen.trace:
                _print_trace(console, report)
            elif report.violations and len(totals.failed) <= FAILURES_SHOWN:
                _print_failure(console, report)
            progress.update(bar, advance=1, failed=len(totals.failed))
    _print_totals(console, first, totals)
    return 1 if totals.failed else 0


def _run(seeds: Sequence[int], jobs: int, tail: int) -> Iterator[Report]:
    if jobs <= 1:
        for seed in seeds:
            yield simulate(seed, tail)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(simulate, seeds, [tail] * len(seeds), chunksize=4)


def _print_trace(console: Console, report: Report) -> None:
    for line in report.tail:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"seed {report.seed}: digest {report.digest}", highlight=False)


def _print_failure(console: Console, report: Report) -> None:
    for line in report.tail[-TAIL:]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for violation in report.violations:
        console.print(f"seed {report.seed}: {violation}", style="bold red", markup=False, highlight=False)
    console.print(
        f"again, with everything that happened: make simulate SEED={report.seed} RUNS=1 TRACE=1", highlight=False
    )


def _print_totals(console: Console, first: int, totals: Totals) -> None:
    table = Table(title=f"{totals.runs} runs, seeds {first} to {first + totals.runs - 1}")
    table.add_column("what")
    table.add_column("how much", justify="right")
    table.add_row("tasks", f"{totals.tasks:,}")
    table.add_row("virtual hours", f"{totals.virtual_seconds / 3600:,.0f}")
    table.add_row("seconds of one core", f"{totals.seconds:,.0f}")
    for kind, count in totals.faults.most_common():
        table.add_row(kind, f"{count:,}", style="dim")
    table.add_row("failed runs", str(len(totals.failed)), style="bold red" if totals.failed else "green")
    console.print(table)
    kinds = Counter(_kind(report.violations[0]) for report in totals.failed)
    for kind, count in kinds.most_common():
        seeds = [str(report.seed) for report in totals.failed if _kind(report.violations[0]) == kind]
        console.print(f"{count:5}  {kind}  ({', '.join(seeds[:8])})", markup=False, highlight=False, soft_wrap=True)


def _kind(violation: str) -> str:
    """The violation without the ids and numbers in it, so that alike ones are counted together."""
    return " ".join("…" if any(sign.isdigit() for sign in word) else word for word in violation.split())[:150]


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Nothing should depend on it. Should anything, a seed still means the same run everywhere.
        os.execve(  # noqa: S606 - the same program again
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
