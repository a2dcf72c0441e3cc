"""Every service and every sidecar killed at every moment of a task: it is done, once."""

import asyncio

import pytest
from contracts.topics import App

from tests.clients import ProjectClient, Receiver
from tests.distributed.cluster_under_test import ClusterUnderTest

APPS = (App.SUBMISSION, App.SCHEDULING, App.GPU_WORKER_IMAGE, App.STORAGE, App.NOTIFICATION)
MOMENTS = ("submitted", "generating", "storing")
SECOND_OF_STEPS = {"steps": 20}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("sidecars", [False, True], ids=["process", "sidecar"])
@pytest.mark.parametrize("app", APPS)
async def test_all_replicas_killed_at_once(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver, app: App, sidecars: bool, moment: str
) -> None:
    supervisor = cluster.running.supervisor
    task = await project.submit(params=SECOND_OF_STEPS)
    if moment == "storing":
        await project.wait(task["id"], "generating")
        supervisor.put_down("s3")
        await asyncio.sleep(1.5)
    elif moment != "submitted":
        await project.wait(task["id"], moment)
    await asyncio.to_thread(supervisor.kill, *cluster.units(app, sidecars=sidecars))
    if moment == "storing":
        await asyncio.to_thread(supervisor.start, "s3")
    await cluster.check_done_once(project, task["id"], hooks, range(1, 4))
