"""Tasks that need each other's results, while whoever makes them or lets them start is killed."""

import asyncio
from typing import Any

import pytest
from contracts.topics import App

from tests.clients import ProjectClient, Receiver
from tests.distributed.cluster_under_test import ClusterUnderTest

SOME_STEPS = {"prompt": "a red circle", "steps": 4}


def edit_of(name: str) -> dict[str, Any]:
    return {"model": "tiny-image-edit", "params": SOME_STEPS, "inputs": {"image": {"from": name}}}


CHAIN = {"last": edit_of("middle"), "middle": edit_of("first"), "first": {"model": "tiny-image", "params": SOME_STEPS}}


@pytest.mark.parametrize("moment", ["asked", "first done"])
@pytest.mark.parametrize("sidecars", [False, True], ids=["process", "sidecar"])
@pytest.mark.parametrize("app", [App.SUBMISSION, App.SCHEDULING])
async def test_a_chain_of_tasks_with_all_replicas_killed(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver, app: App, sidecars: bool, moment: str
) -> None:
    path = f"/api/v1/projects/{project.id}/graphs"
    answer = await project.http.post(path, json={"tasks": CHAIN})
    assert answer.status_code == 202, answer.text
    if moment == "first done":
        await until_done(project, f"{path}/{answer.json()['id']}", at_least=1)
    await asyncio.to_thread(cluster.running.supervisor.kill, *cluster.units(app, sidecars=sidecars))
    await until_done(project, f"{path}/{answer.json()['id']}", at_least=len(CHAIN))
    for node in answer.json()["tasks"]:
        await cluster.check_done_once(project, node["task_id"], hooks, range(1, 5))
    assert len(await project.tasks()) == len(CHAIN)


async def until_done(project: ProjectClient, path: str, at_least: int) -> None:
    async with asyncio.timeout(120):
        while True:
            graph = (await project.http.get(path)).json()
            assert graph["status"] not in ("failed", "cancelled"), graph
            if graph["by_status"].get("done", 0) >= at_least:
                return
            await asyncio.sleep(0.1)
