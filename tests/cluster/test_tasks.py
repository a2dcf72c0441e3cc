"""Tasks on real pods, and what is done to pods in a working day: nothing is lost by it, and nothing done twice."""

import asyncio
import secrets
from typing import Any

import pytest
from contracts.topics import App

from tests.clients import ProjectClient, Receiver
from tests.cluster.images import NEXT_TAG
from tests.cluster.platform import Platform

SERVICES = (App.SUBMISSION, App.SCHEDULING, App.STORAGE, App.NOTIFICATION, App.GPU_WORKER_IMAGE)
TRIES = range(1, 4)
"""A worker that went may have begun a task, and handed it back."""


async def test_every_pod_is_ready_beside_its_sidecar(platform: Platform) -> None:
    await platform.until_workers_are_ready()
    for app in SERVICES:
        [pod] = platform.release.pods(app)
        every = [*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"]]
        assert {one["name"]: one["ready"] for one in every} == {app.value: True, "daprd": True}


async def test_a_request_over_rest_becomes_a_stored_image(
    platform: Platform, project: ProjectClient, hooks: Receiver
) -> None:
    task = await project.submit()
    await platform.check_done_once(project, task["id"], hooks)


async def test_an_event_becomes_a_stored_image(platform: Platform, project: ProjectClient, hooks: Receiver) -> None:
    await project.publish(f"event-{secrets.token_hex(4)}")
    async with asyncio.timeout(60):
        while not (tasks := await project.tasks()):
            await asyncio.sleep(0.2)
    [task] = tasks
    await platform.check_done_once(project, task["id"], hooks)


@pytest.mark.parametrize("app", SERVICES)
async def test_a_pod_is_deleted_while_tasks_run(
    platform: Platform, project: ProjectClient, hooks: Receiver, app: App
) -> None:
    [before] = platform.release.pods(app)
    tasks = [await project.submit() for _ in range(6)]
    name = before["metadata"]["name"]
    await asyncio.to_thread(platform.release.kubectl, "delete", "pod", name, "--wait=false")
    await check_all_done_once(platform, project, hooks, tasks)
    await asyncio.to_thread(platform.release.kubectl, "wait", "--for=delete", f"pod/{name}", "--timeout=120s")
    await asyncio.to_thread(platform.until_replaced, app)


async def test_a_release_while_tasks_run(platform: Platform, project: ProjectClient, hooks: Receiver) -> None:
    before = {app: platform.release.pods(app)[0]["metadata"]["name"] for app in SERVICES}
    upgrading = asyncio.create_task(asyncio.to_thread(platform.upgrade, {"image": {"tag": NEXT_TAG}}))
    tasks = []
    while not upgrading.done():
        tasks.append(await project.submit(key=secrets.token_hex(8)))
        await asyncio.sleep(1)
    await upgrading
    await check_all_done_once(platform, project, hooks, tasks)
    for app, name in before.items():
        await asyncio.to_thread(platform.until_replaced, app)
        [pod] = platform.release.pods(app)
        assert pod["metadata"]["name"] != name
        assert pod["spec"]["containers"][0]["image"].endswith(f":{NEXT_TAG}")


async def check_all_done_once(
    platform: Platform, project: ProjectClient, hooks: Receiver, tasks: list[dict[str, Any]]
) -> None:
    for task in tasks:
        await platform.check_done_once(project, task["id"], hooks, TRIES)
    assert {task["id"] for task in await project.tasks()} == {task["id"] for task in tasks}
    await platform.check_at_rest()
    assert not await platform.letters()
