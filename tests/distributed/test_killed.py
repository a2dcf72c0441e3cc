"""Every service and every sidecar killed at every moment of a task: it is done, once."""

import asyncio

import pytest
from contracts.topics import App

from tests.clients import ProjectClient, Receiver
from tests.distributed.cluster_under_test import ClusterUnderTest

APPS = (App.SUBMISSION, App.SCHEDULING, App.GPU_WORKER_IMAGE, App.STORAGE, App.NOTIFICATION)
MOMENTS = ("submitted", "generating", "retrying", "storing", "done")
SECOND_OF_STEPS = {"steps": 20}
FAILS_ONCE = {"prompt": "fail 1", "steps": 1}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("sidecars", [False, True], ids=["process", "sidecar"])
@pytest.mark.parametrize("app", APPS)
async def test_all_replicas_killed_at_once(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver, app: App, sidecars: bool, moment: str
) -> None:
    supervisor = cluster.running.supervisor
    task = await project.submit(params=FAILS_ONCE if moment == "retrying" else SECOND_OF_STEPS)
    match moment:
        case "generating" | "done":
            await project.wait(task["id"], moment)
        case "retrying":
            await until_it_has_failed(project, task["id"])
        case "storing":
            # Nothing can be stored without the store: that is where the task is now, and stays.
            await project.wait(task["id"], "generating")
            await asyncio.to_thread(supervisor.put_down, "s3")
            await asyncio.sleep(1.5)
    await asyncio.to_thread(supervisor.kill, *cluster.units(app, sidecars=sidecars))
    if moment == "storing":
        await asyncio.to_thread(supervisor.start, "s3")
    await cluster.check_done_once(project, task["id"], hooks, range(1, 5))


async def until_it_has_failed(project: ProjectClient, task_id: str) -> None:
    async with asyncio.timeout(60):
        while not (await project.status(task_id))["failures"]:
            await asyncio.sleep(0.02)
