"""Workers that are cut off, told to go, or too late."""

import asyncio
import signal
import time
from typing import Any

from contracts.topics import App

from tests.clients import ProjectClient, Receiver
from tests.distributed.cluster_under_test import SETTINGS, ClusterUnderTest

LEASE = float(SETTINGS["lease"])


async def worker_of(project: ProjectClient, task: dict[str, Any]) -> str:
    """The unit that runs the task."""
    found = await project.wait(task["id"], "generating")
    return str(found["worker_id"])


async def until_at_work(project: ProjectClient, task: dict[str, Any]) -> None:
    """Until the engine has told of a step, which it does some time after the record says that it generates."""
    async with asyncio.timeout(60):
        while not ((await project.status(task["id"]))["progress"] or {}).get("step"):
            await asyncio.sleep(0.1)


async def test_a_worker_cut_off_from_the_bus_stops_itself_and_its_late_result_is_refused(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    supervisor = cluster.running.supervisor
    task = await project.submit(params={"prompt": "slow 0.4", "steps": 50})
    worker = await worker_of(project, task)
    await until_at_work(project, task)
    cut_off_at = time.time()
    supervisor.send(signal.SIGSTOP, f"{worker}-daprd")
    try:
        async with asyncio.timeout(60):
            while (await project.status(task["id"]))["attempt"] == 1:
                await asyncio.sleep(0.1)
            while not cluster.runs(task["id"]):
                await asyncio.sleep(0.1)
    finally:
        supervisor.send(signal.SIGCONT, f"{worker}-daprd")
    [first] = [run for run in cluster.runs(task["id"]) if run["attempt"] == 1]
    assert first["outcome"] != "generated"
    assert first["to"] - cut_off_at < 2.5 * LEASE
    await cluster.check_done_once(project, task["id"], hooks, range(2, 3))


async def test_a_worker_told_to_stop_finishes_what_fits_into_its_grace(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    task = await project.submit(params={"steps": 30})
    worker = await worker_of(project, task)
    await asyncio.to_thread(cluster.running.supervisor.put_down, worker)
    await asyncio.to_thread(cluster.running.supervisor.start, worker)
    await cluster.check_done_once(project, task["id"], hooks, range(1, 2))


async def test_what_does_not_fit_is_handed_back_and_done_by_another_within_the_lease(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    task = await project.submit(params={"prompt": "slow 0.2", "steps": 50})
    worker = await worker_of(project, task)
    await asyncio.to_thread(cluster.running.supervisor.put_down, worker)
    stopped_at = time.monotonic()
    async with asyncio.timeout(LEASE):
        while (await project.status(task["id"]))["attempt"] == 1:
            await asyncio.sleep(0.05)
    assert time.monotonic() - stopped_at < LEASE / 2
    await asyncio.to_thread(cluster.running.supervisor.start, worker)
    await cluster.check_done_once(project, task["id"], hooks, range(2, 3))
    assert (await project.status(task["id"]))["failures"] == 0


async def test_both_workers_frozen_and_thawed_do_nothing_twice(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    """Processes that stop for longer than the lease and go on as if nothing had been."""
    tasks = [await project.submit(params={"steps": 40}) for _ in range(2)]
    for task in tasks:
        await project.wait(task["id"], "generating")
    workers = cluster.units(App.GPU_WORKER_IMAGE, sidecars=False)
    cluster.running.supervisor.send(signal.SIGSTOP, *workers)
    await asyncio.sleep(2 * LEASE)
    cluster.running.supervisor.send(signal.SIGCONT, *workers)
    for task in tasks:
        await cluster.check_done_once(project, task["id"], hooks, range(1, 5))
