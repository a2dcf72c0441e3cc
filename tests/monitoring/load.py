"""Ordinary minutes in a studio, and some of what goes wrong in them."""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import structlog

from tests.clients import Access, ProjectClient, Receiver, a_project, receiver
from tests.monitoring.scraping import units_of

log = structlog.get_logger(__name__)

PROJECTS = ("dune", "heat", "alien", "her")
PAUSES = {"dune": 1.5, "heat": 3.0, "alien": 5.0, "her": 9.0}
STEPS = {"tiny-image": (4, 40), "tiny-video": (4, 20), "tiny-audio": (4, 20)}
KILL_A_WORKER_AFTER_SECONDS = 60


def access_of(cluster: Path) -> Access:
    found = json.loads((cluster / "cluster.json").read_text())
    kept = json.loads((cluster / "secrets.json").read_text())
    sidecar = next(unit["address"] for unit in found["units"] if unit["name"] == "payloadcms-daprd")
    return Access(found["api"], sidecar, kept["admin_key"], kept["tokens"]["payloadcms"]["dapr"])


async def keep_asking(project: ProjectClient, chance: random.Random, until: float) -> None:
    while time.monotonic() < until:
        try:
            await ask(project, chance)
        except (httpx.TransportError, AssertionError) as error:
            log.info("not everything was answered", project_id=project.id, reason=repr(error)[:200])
        await asyncio.sleep(chance.expovariate(1 / PAUSES[project.id]))


async def ask(project: ProjectClient, chance: random.Random) -> None:
    model = chance.choices([*STEPS], weights=[6, 2, 2])[0]
    soon = datetime.now(UTC) + timedelta(seconds=chance.uniform(1, 20))
    task = await project.submit(
        model,
        params={"steps": chance.randint(*STEPS[model]), "seed": chance.randrange(1000)},
        priority=chance.choice(["low", "medium", "high"]),
        reminders=[{"at": soon.isoformat()}] if chance.random() < 0.3 else [],
    )
    if chance.random() < 0.1:
        await project.http.delete(f"/api/v1/tasks/{task['id']}/cancel")
    for path in (f"/tasks/{task['id']}/status", f"/projects/{project.id}/queue", "/workers/status"):
        await project.http.get(f"/api/v1{path}")
    if chance.random() < 0.03:
        await project.publish_raw("task-requests", b"not an event")


async def kill_a_worker(cluster: Path) -> None:
    """As a node that is gone; the supervisor starts it again, as Kubernetes would."""
    await asyncio.sleep(KILL_A_WORKER_AFTER_SECONDS)
    worker = next(unit for unit in units_of(cluster) if unit["name"] == "gpu-worker-image-1")
    os.kill(worker["pid"], signal.SIGKILL)


async def load(cluster: Path, seconds: float, seed: int = 1) -> None:
    chance, until = random.Random(seed), time.monotonic() + seconds
    async with AsyncExitStack() as stack:
        projects = [await stack.enter_async_context(a_project(access_of(cluster), name)) for name in PROJECTS]
        receivers: Sequence[Receiver] = [await stack.enter_async_context(receiver(one)) for one in projects]
        receivers[-1].answers = [500] * 1000
        asking = [keep_asking(project, chance, until) for project in projects]
        await asyncio.gather(kill_a_worker(cluster), *asking)
