"""A scene of shots from one request, on the whole embedded platform: watched frame by frame, changed, and killed."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import av
import httpx
import numpy as np
import pytest
from embedded.movie import scene

from tests.clients import ProjectClient, receiver
from tests.integration.platform import Platform

SHOTS = (
    ("a red circle", "a red circle moving right", "three short beeps"),
    ("a green square", "a green square growing", "a rising sine"),
)
FRAMES = 17
SAME_PICTURE = 6
"""How far two pictures may be apart, on average of 255: the film was encoded twice since the clip was."""
Graph = dict[str, Any]
Pictures = np.ndarray[Any, np.dtype[np.uint8]]


async def ask(project: ProjectClient, tasks: dict[str, Any], graph: Graph | None = None) -> Graph:
    path = f"/api/v1/projects/{project.id}/graphs"
    method = "PUT" if graph else "POST"
    answer = await project.http.request(method, f"{path}/{graph['id']}" if graph else path, json={"tasks": tasks})
    assert answer.status_code == 202, answer.text
    found: Graph = answer.json()
    return found


async def over(project: ProjectClient, graph: Graph, within: float = 180) -> Graph:
    async with asyncio.timeout(within):
        while True:
            found: Graph = (await project.http.get(f"/api/v1/projects/{project.id}/graphs/{graph['id']}")).json()
            if found["status"] in ("done", "failed", "cancelled"):
                return found
            await asyncio.sleep(0.05)


def named(graph: Graph) -> dict[str, Graph]:
    return {one["name"]: one for one in graph["tasks"]}


async def pictures(project: ProjectClient, node: Graph) -> Pictures:
    """Every frame of the node's film."""
    content = (await project.http.get(node["result"]["url"])).content
    with av.open(io.BytesIO(content)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def apart(one: Pictures, other: Pictures) -> float:
    return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean())


@pytest.fixture
def tasks() -> dict[str, Any]:
    """With small pictures and few steps, and seeds, so that a prompt alone makes a difference."""
    found = scene(SHOTS)
    for number, task in enumerate(found.values()):
        if task["model"].startswith("tiny-"):
            task["params"] |= {"seed": number, "steps": 3}
    return found


async def test_the_scene_shows_each_shot_frame_by_frame_and_a_change_leaves_the_rest(
    platform: Platform, tasks: dict[str, Any]
) -> None:
    async with platform.project() as project, receiver(project) as hooks:
        first = await over(project, await ask(project, tasks))
        assert (first["status"], first["by_status"]) == ("done", {"done": 9})
        before = named(first)
        film = await pictures(project, before["scene"])
        clips = [await pictures(project, before[f"shot-{number}.clip"]) for number in (1, 2)]
        assert [len(film), *map(len, clips)] == [2 * FRAMES, FRAMES, FRAMES]
        for place, frame in enumerate(np.concatenate(clips)):
            assert apart(film[place], frame) < SAME_PICTURE, f"frame {place}"
        probed = before["scene"]["result"]
        assert (probed["frame_rate"], probed["sample_rate"], probed["channels"]) == (8, 48_000, 2)
        assert probed["duration_seconds"] == pytest.approx(2 * FRAMES / 8, abs=0.1)
        await hooks.wait_for(9)

        tasks["shot-2.frame"]["params"]["prompt"] = "a blue square on a black background"
        tasks["shot-2.clip"]["params"] |= {"prompt": "a blue square growing on a black background", "seed": 99}
        second = await over(project, await ask(project, tasks, first))
        after = named(second)
        stale = {name for name in after if after[name]["task_id"] != before[name]["task_id"]}
        assert stale == {"shot-2.frame", "shot-2.clip", "shot-2", "scene"}
        assert all(after[name]["result"] == before[name]["result"] for name in after.keys() - stale)
        assert len(await project.tasks()) == 13, "nothing else was made"
        changed = await pictures(project, after["scene"])
        assert apart(changed[:FRAMES], film[:FRAMES]) < SAME_PICTURE, "the first shot stays"
        assert apart(changed[FRAMES:], film[FRAMES:]) > SAME_PICTURE, "the second one does not"
        await hooks.wait_for(13)
        assert len(set(hooks.ids)) == 13


async def test_a_scene_is_finished_although_the_whole_process_is_killed(
    own_platform: Callable[[], Platform], tasks: dict[str, Any]
) -> None:
    own = own_platform()
    async with own.project("film") as project:
        key, graph = project.key, await ask(project, tasks)
        frame = named(graph)["shot-1.frame"]["task_id"]
        await wait_until_known(project, frame)
        await project.wait(frame)
    own.kill()
    own.start()
    async with own.project("other") as client:
        again = ProjectClient(own.access, client.http, "film")
        again.http.headers["X-API-Key"] = key
        found = await over(again, graph)
        assert found["status"] == "done", found
        assert len(await again.tasks()) == 9
        for node in found["tasks"]:
            done = [entry for entry in await again.history(node["task_id"]) if entry["type"] == "task.done.v1"]
            assert len(done) == 1, node["name"]


async def wait_until_known(project: ProjectClient, task_id: str) -> None:
    """The tasks of a graph are made in the background."""
    async with asyncio.timeout(30):
        while (await project.http.get(f"/api/v1/tasks/{task_id}/status")).status_code == httpx.codes.NOT_FOUND:
            await asyncio.sleep(0.02)


async def test_what_needs_a_task_that_fails_is_skipped_and_a_retry_brings_all_of_it(
    platform: Platform, tasks: dict[str, Any]
) -> None:
    """A task is cancelled, which is the quickest way for it to end without a result."""
    tasks["shot-1.frame"]["start_at"] = "2099-01-01T00:00:00Z"
    tasks["shot-1.frame"]["params"]["prompt"] = "a red circle"
    async with platform.project() as project:
        refused = await project.http.post(f"/api/v1/projects/{project.id}/graphs", json={"tasks": tasks})
        assert refused.json()["errors"][0]["field"] == "tasks.shot-1.frame.start_at"
        del tasks["shot-1.frame"]["start_at"]
        tasks["shot-1.frame"]["params"]["steps"] = 50
        graph = await ask(project, tasks)
        frame = named(graph)["shot-1.frame"]["task_id"]
        await wait_until_known(project, frame)
        await project.http.delete(f"/api/v1/tasks/{frame}/cancel")
        ended = await over(project, graph)
        assert ended["status"] == "failed"
        phases = {name: node["phase"] for name, node in named(ended).items()}
        assert {name for name, phase in phases.items() if phase == "skipped"} == {"shot-1.clip", "shot-1", "scene"}
        assert "shot-2" in {name for name, phase in phases.items() if phase == "done"}
        assert frame in named(ended)["shot-1.clip"]["error"]["detail"]
        path = f"/api/v1/projects/{project.id}/graphs/{graph['id']}/retry"
        assert (await project.http.post(path, json={"task": "shot-1.frame"})).status_code == 202
        async with asyncio.timeout(60):
            while (await over(project, graph))["status"] != "done":
                await asyncio.sleep(0.1)
