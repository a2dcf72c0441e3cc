"""The live feed over real connections: Server-Sent Events and WebSocket, with progress, and resumed without a gap."""

import asyncio
import io
import json
from typing import Any

import httpx
import pytest
import websockets
from httpx_sse import aconnect_sse
from PIL import Image

from tests.clients import ProjectClient
from tests.integration.platform import Platform

SLOW = {"steps": 40, "width": 192, "height": 192}
Told = tuple[str | None, str, dict[str, Any]]


async def watch(project: ProjectClient, path: str, until: str, after: str | None = None) -> list[Told]:
    """What the feed says up to an event of the type `until`: id, type and data of each."""
    told: list[Told] = []
    headers = {"Last-Event-ID": after} if after else {}
    async with (
        asyncio.timeout(30),
        aconnect_sse(project.http, "GET", f"/api/v1/live/{path}", headers=headers) as source,
    ):
        assert source.response.status_code == 200
        async for event in source.aiter_sse():
            if event.data:
                told.append((event.id or None, event.event, event.json()))
            if event.event == until:
                return told
    raise AssertionError("the feed ended")


def lifecycle(told: list[Told]) -> list[str]:
    return [type_ for _, type_, _ in told if type_ != "task.progressed.v1"]


async def test_a_tasks_life_with_its_progress(platform: Platform) -> None:
    async with platform.project() as project:
        task = await project.submit(params=SLOW)
        told = await watch(project, f"tasks/{task['id']}", "task.done.v1")
        progress = [data["progress"]["fraction"] for _, type_, data in told if type_ == "task.progressed.v1"]
        assert len(progress) > 2
        assert progress == sorted(progress)
        assert progress[-1] == 1
        positions = [int(id_) for id_, type_, _ in told if type_ != "task.progressed.v1" and id_]
        assert positions == sorted(set(positions))
        assert told[-1][2]["result"]["content_type"] == "image/png"


async def test_resumed_without_a_gap(platform: Platform) -> None:
    async with platform.project() as project:
        task = await project.make(params={"steps": 2})
        whole = await watch(project, f"projects/{project.id}", "task.done.v1", after="0")
        assert lifecycle(whole)[0] == "task.accepted.v1"
        for position in range(len(whole) - 1):
            rest = await watch(project, f"tasks/{task['id']}", "task.done.v1", after=whole[position][0])
            assert rest == whole[position + 1 :]


async def test_a_projects_watcher_hears_of_all_its_tasks_and_of_no_others(platform: Platform) -> None:
    async with platform.project() as project, platform.project() as other:
        watching = asyncio.create_task(watch(project, f"projects/{project.id}", "task.cancelled.v1"))
        await asyncio.sleep(0.3)
        theirs = await other.make(params={"steps": 1})
        ours = [await project.submit(params={"steps": 1}) for _ in range(2)]
        for task in ours:
            await project.wait(task["id"])
        slow = await project.submit(params=SLOW)
        await project.http.delete(f"/api/v1/tasks/{slow['id']}/cancel")
        told = await watching
        seen = {data.get("id") or data["task_id"] for _, _, data in told}
        assert seen == {task["id"] for task in (*ours, slow)}
        assert theirs["id"] not in seen


async def test_by_web_socket(platform: Platform) -> None:
    async with platform.project() as project:
        address = platform.access.api.replace("http", "ws", 1) + "/api/v1/live/ws"
        task = await project.make(params={"steps": 1})
        told = []
        async with (
            asyncio.timeout(60),
            websockets.connect(
                f"{address}?task_id={task['id']}&last_event_id=0", additional_headers={"X-API-Key": project.key}
            ) as socket,
        ):
            await socket.send("nobody heeds this")
            async for message in socket:
                told.append(json.loads(message))
                if told[-1]["type"] == "task.done.v1":
                    break
        assert told[0]["type"] == "task.accepted.v1"
        assert told[-1]["data"]["id"] == task["id"]


async def test_a_tag_in_a_browser_with_the_progress_of_its_tasks(platform: Platform) -> None:
    async with platform.project() as project:
        made = (await project.http.post("/api/v1/live/tickets", json={"tag": "hero"})).json()
        async with (
            asyncio.timeout(60),
            httpx.AsyncClient(base_url=platform.access.api) as browser,
            aconnect_sse(browser, "GET", f"{made['sse']}&last_event_id=0") as source,
        ):
            assert source.response.status_code == 200
            await project.submit(params={"steps": 1}, tags=["extra"])
            task = await project.submit(params=SLOW, tags=["hero"])
            told: list[Told] = []
            async for event in source.aiter_sse():
                if event.data:
                    told.append((event.id or None, event.event, event.json()))
                if event.event == "task.done.v1":
                    break
        assert {data.get("id") or data["task_id"] for _, _, data in told} == {task["id"]}
        assert "task.progressed.v1" in [type_ for _, type_, _ in told]
        assert made["ticket"] not in platform.log


@pytest.mark.parametrize(("key", "task", "code"), [("wrong", None, 4401), (None, "unknown", 4404)])
async def test_a_web_socket_is_for_ones_own_tasks(
    platform: Platform, key: str | None, task: str | None, code: int
) -> None:
    async with platform.project() as project:
        query = f"?task_id={task}" if task else ""
        address = platform.access.api.replace("http", "ws", 1) + f"/api/v1/live/ws{query}"
        headers = {"X-API-Key": key or project.key}
        async with asyncio.timeout(30), websockets.connect(address, additional_headers=headers) as socket:
            with pytest.raises(websockets.ConnectionClosedError):
                await socket.recv()
            assert socket.close_code == code


async def previewed(project: ProjectClient, task_id: str, browser: httpx.AsyncClient) -> tuple[str, httpx.Response]:
    """The link to a preview of the task, and what it opens now."""
    async with (
        asyncio.timeout(60),
        aconnect_sse(project.http, "GET", f"/api/v1/live/tasks/{task_id}") as source,
    ):
        async for event in source.aiter_sse():
            url = event.json().get("preview_url") if event.data else None
            if url is not None:
                return url, await browser.get(url)
            assert event.event != "task.done.v1", "no preview was told of"
    raise AssertionError("the feed ended")


async def test_a_preview_opens_as_a_picture_while_the_task_runs_and_not_afterwards(platform: Platform) -> None:
    async with platform.project() as project, httpx.AsyncClient(base_url=platform.access.api) as browser:
        # Whoever watches the project is heard of by the workers before the task begins.
        async with aconnect_sse(project.http, "GET", f"/api/v1/live/projects/{project.id}"):
            await asyncio.sleep(2)
            task = await project.submit(params={"steps": 50, "width": 256, "height": 256})
            url, answer = await previewed(project, task["id"], browser)
        assert answer.status_code == 200, answer.text
        with Image.open(io.BytesIO(answer.content)) as image:
            assert (image.format, image.size) == ("WEBP", (256, 256))
        assert len(answer.content) < 10 * 1024
        await project.wait(task["id"])
        assert (await browser.get(url)).status_code == 404
        assert not list(platform.data.rglob("preview.webp")), "it is gone, and not only refused"
        assert url.partition("?link=")[2] not in platform.log


async def test_a_watcher_that_goes_leaves_nothing_behind(platform: Platform) -> None:
    async with platform.project() as project:
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):
                await project.http.get(f"/api/v1/live/projects/{project.id}", timeout=0.2)
        assert (await project.make(params={"steps": 1}))["status"] == "done"
