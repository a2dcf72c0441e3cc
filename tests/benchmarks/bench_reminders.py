"""How exact reminders are, as a table: on time, and after each kind of outage. Nothing here is asserted.

make bench-reminders
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.topics import App
from rich.console import Console
from rich.table import Table

from tests.benchmarks.bench import percentile, platform
from tests.benchmarks.reminders import Reminded, reminded
from tests.distributed.cluster_under_test import ClusterUnderTest, scripted

REMINDERS = int(os.environ.get("REMINDERS", "1000"))
OVER_AN_OUTAGE = REMINDERS * 3 // 10
SUBMITTED_PER_SECOND = 20
"""Fewer than a slow machine can: all must be submitted before the first is due."""
AWAY_BEFORE_SECONDS = 2
BACK_AFTER_SECONDS = 10
OUTAGES: dict[str, Callable[[ClusterUnderTest], Sequence[str]]] = {
    "nobody": lambda _cluster: (),
    "scheduling": lambda cluster: cluster.units(App.SCHEDULING, sidecars=False),
    "notification": lambda cluster: cluster.units(App.NOTIFICATION, sidecars=False),
    "the Dapr scheduler": lambda _cluster: ("scheduler",),
}

console = Console(width=120)


def spread(first: datetime) -> list[datetime]:
    return [first + timedelta(minutes=1) * number / REMINDERS for number in range(REMINDERS)]


def at_once(first: datetime) -> list[datetime]:
    return [first] * REMINDERS


def after_submitting(number: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5 + number / SUBMITTED_PER_SECOND)


def add_rows(table: Table, name: str, found: Reminded, tasks: dict[str, float]) -> None:
    ways = {
        "said": (found.by_webhook.said, found.by_webhook),
        "webhook": (found.by_webhook.at, found.by_webhook),
        "live feed": (found.live.at, found.live),
    }
    for way, (came, told) in ways.items():
        errors = [came[task_id] - moment for task_id, moment in tasks.items()]
        figures = (percentile(errors, 50), percentile(errors, 95), max(errors))
        twice = sum(told.times[task_id] > 1 for task_id in tasks)
        counts = (len(tasks), twice, len(told.marked & tasks.keys()))
        table.add_row(name, way, *(f"{value:.2f} s" for value in figures), *(map(str, counts) if way != "said" else ()))


async def measure_embedded(folder: Path, table: Table) -> None:
    with (
        console.status("the embedded platform"),
        platform(folder, "tests.benchmarks.instant_platform") as running,
    ):
        for name, moments in (("spread over a minute", spread), ("in the same second", at_once)):
            async with running.project() as project, reminded(project) as found:
                tasks = await found.plan(moments(after_submitting(REMINDERS)))
                await found.all_told(tasks)
                add_rows(table, f"embedded, {name}", found, tasks)
                console.log(f"{name}: measured")


async def measure_outages(table: Table) -> None:
    """Of the distributed platform, where one can be away without the others."""
    with console.status("the distributed platform"), scripted(replicas=1, image_workers=1) as cluster:
        for who, units_of in OUTAGES.items():
            await cluster.until_ready()
            async with cluster.project() as project, reminded(project) as found:
                moment = after_submitting(OVER_AN_OUTAGE)
                tasks = await found.plan([moment] * OVER_AN_OUTAGE)
                await _until(moment.timestamp() - AWAY_BEFORE_SECONDS)
                units = units_of(cluster)
                await asyncio.to_thread(cluster.running.supervisor.kill, *units, again=False)
                await _until(moment.timestamp() + BACK_AFTER_SECONDS)
                await asyncio.to_thread(cluster.running.supervisor.start, *units)
                await found.all_told(tasks)
                add_rows(table, f"distributed, {who} away", found, tasks)
                console.log(f"{who} away: measured")


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.time()))


async def measure(folder: Path, table: Table) -> None:
    await measure_embedded(folder, table)
    await measure_outages(table)


def main() -> None:
    title = (
        f"Reminders, {os.cpu_count()} cores with the receivers on them; who is away is back {BACK_AFTER_SECONDS} s late"
    )
    table = Table(title=title, title_justify="left")
    for column in ("due", "by", "error p50", "p95", "max", "told", "twice", "marked late"):
        table.add_column(column, no_wrap=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(Path(folder), table))
    finally:
        console.print(table)


if __name__ == "__main__":
    main()
