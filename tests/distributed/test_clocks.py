"""Clocks that differ by a minute from service to service."""

import asyncio
import time

from contracts.topics import App

from tests.clients import ProjectClient, Receiver
from tests.distributed.cluster_under_test import ClusterUnderTest
from tests.distributed.launcher import CLOCK_OFFSET

OFFSETS = {App.SUBMISSION: -60, App.GPU_WORKER_IMAGE: 60, App.STORAGE: -60, App.NOTIFICATION: 60}
OTHER_WAY = {app: -offset for app, offset in OFFSETS.items()}


async def restart_with(cluster: ClusterUnderTest, offsets: dict[App, int]) -> None:
    names = [name for app in offsets for name in cluster.units(app, sidecars=False)]
    await asyncio.to_thread(cluster.running.supervisor.put_down, *names)
    for app, offset in offsets.items():
        for name in cluster.units(app, sidecars=False):
            cluster.running.supervisor.change(name, **{CLOCK_OFFSET: str(offset)})
    await asyncio.to_thread(cluster.running.supervisor.start, *names)


async def test_nothing_is_delayed_repeated_or_given_up(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    try:
        for offsets in (OFFSETS, OTHER_WAY):
            await restart_with(cluster, offsets)
            await cluster.until_workers_are_ready()
            started = time.monotonic()
            tasks = [await project.submit(params={"steps": 20}) for _ in range(4)]
            retried = await project.submit(params={"prompt": "fail 1", "steps": 1})
            for task in tasks:
                await cluster.check_done_once(project, task["id"], hooks)
            await cluster.check_done_once(project, retried["id"], hooks, range(2, 3))
            assert time.monotonic() - started < 30
    finally:
        await restart_with(cluster, dict.fromkeys(OFFSETS, 0))
        await cluster.until_workers_are_ready()
