"""The distributed platform as a system to measure."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from cluster.running import cluster as running_cluster
from cluster.settings import ClusterSettings

from tests.benchmarks.distributed.measuring import Receiver
from tests.clients import ProjectClient
from tests.distributed.cluster_under_test import ClusterUnderTest


@dataclass(frozen=True)
class PlatformSystem:
    """What is measured of Movie Tasks."""

    name: str
    receiver: Receiver
    cluster: ClusterUnderTest
    project: ProjectClient

    async def submit(self) -> str:
        task = await self.project.submit(params={"steps": 1})
        return str(task["id"])

    def processes(self) -> dict[str, psutil.Process]:
        kept = self.cluster.running.supervisor.kept
        return {name: psutil.Process(unit.process.pid) for name, unit in kept.items() if unit.process is not None}


@asynccontextmanager
async def platform_system(folder: Path, receiver: Receiver, workers: int) -> AsyncIterator[PlatformSystem]:
    """One replica of each service, and so many workers whose engine takes no time."""
    settings = ClusterSettings(
        data=folder,
        image_workers=workers,
        video_workers=0,
        audio_workers=0,
        models=("tiny-image",),
        launcher=("tests.benchmarks.distributed.launcher",),
        log_level="WARNING",
    )
    with running_cluster(settings) as running:
        cluster = ClusterUnderTest(running, folder)
        await cluster.until_workers_are_ready()
        async with cluster.project() as project:
            made = await project.http.post("/api/v1/webhooks", json={"url": receiver.url, "events": ["task.done.v1"]})
            assert made.status_code == 201, made.text
            yield PlatformSystem(f"Movie Tasks, {workers} workers", receiver, cluster, project)
