"""The five scenarios the platform exists for, on real daprd, real pipelines and real files."""

import asyncio
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import av
from PIL import Image

from tests.clients import ProjectClient, receiver
from tests.integration.platform import Platform


async def test_an_image_from_a_request_event(platform: Platform) -> None:
    """Published as a content management system would; told of by webhook; stored, and made again from a picture."""
    async with platform.project() as project, receiver(project) as hooks:
        await project.publish(
            "media-task-1", params={"prompt": "a red circle", "width": 96, "steps": 4}, client_ref="1"
        )
        await hooks.wait_for(1)
        [told] = hooks.received
        assert (told["type"], told["data"]["client_ref"]) == ("task.done.v1", "1")
        result = told["data"]["result"]
        assert (result["content_type"], result["width"], result["height"]) == ("image/png", 96, 128)

        file = await project.http.get(result["url"])
        assert len(file.content) == result["size"]
        with Image.open(io.BytesIO(file.content)) as image:
            assert image.size == (96, 128)
        with Image.open(io.BytesIO((await project.http.get(result["thumbnail_url"])).content)) as thumbnail:
            assert thumbnail.format == "WEBP"
        manifest = (await project.http.get(result["manifest_url"])).json()
        assert manifest["provenance"]["params"]["seed"] == told["data"]["params"]["seed"]
        assert manifest["media"]["sha256"] == result["sha256"]

        edited = await project.make("tiny-image-edit", inputs={"image": result["id"]}, params={"steps": 4})
        assert (edited["result"]["width"], edited["result"]["height"]) == (96, 128)


async def test_a_video_with_progress_on_the_way(platform: Platform) -> None:
    async with platform.project() as project:
        task = await project.submit("tiny-video", params={"frames": 9, "steps": 30, "frame_rate": 12})
        running = await project.wait(task["id"], "generating", "storing", "done")
        assert running["worker_id"].startswith("gpu-worker-video-")
        done = await project.wait(task["id"])
        assert done["status"] == "done"
        result = done["result"]
        assert (result["medium"], result["width"], result["height"], result["frame_rate"]) == ("video", 96, 96, 12)
        assert abs(result["duration_seconds"] - 9 / 12) < 0.01
        content = (await project.http.get(result["url"])).content
        with av.open(io.BytesIO(content)) as container:
            assert len(list(container.decode(video=0))) == 9
        assert {"generating", "encoding", "storing"} <= set(done["phase_seconds"])

        first_frame = await project.make(params={"width": 128, "height": 96, "steps": 2})
        from_image = await project.make(
            "tiny-video-from-image", inputs={"image": first_frame["result"]["id"]}, params={"frames": 9, "steps": 4}
        )
        assert from_image["result"]["medium"] == "video"


async def test_a_sound(platform: Platform) -> None:
    async with platform.project() as project:
        done = await project.make("tiny-audio", params={"prompt": "three short beeps", "seconds": 1.5, "steps": 4})
        result = done["result"]
        assert (result["content_type"], result["sample_rate"], result["channels"]) == ("audio/wav", 16_000, 1)
        assert abs(result["duration_seconds"] - 1.5) < 0.01
        with av.open(io.BytesIO((await project.http.get(result["url"])).content)) as container:
            assert sum(frame.samples for frame in container.decode(audio=0)) == 24_000


async def test_a_projects_tasks_are_managed(platform: Platform) -> None:
    """Listed, searched, cancelled while they wait and while they run, retried; and nobody else sees any of it."""
    async with platform.project() as project, platform.project() as stranger:
        slow = await project.submit(params={"steps": 50, "width": 256, "height": 256}, title="A slow one")
        await project.wait(slow["id"], "generating")
        waiting = [await project.submit(priority=priority, tags=["batch"]) for priority in ("low", "high")]
        queue = (await project.http.get(f"/api/v1/projects/{project.id}/queue")).json()
        assert [task["task_id"] for task in queue["tasks"]] == [waiting[1]["id"], waiting[0]["id"]]
        assert (queue["waiting"], queue["processing"]) == (2, 1)

        cancelled = await project.http.delete(f"/api/v1/tasks/{waiting[0]['id']}/cancel")
        assert cancelled.json()["status"] == "cancelled"
        asked = await project.http.delete(f"/api/v1/tasks/{slow['id']}/cancel")
        assert asked.json()["cancel_requested"]
        assert (await project.wait(slow["id"], within=30))["status"] == "cancelled"
        assert (await project.wait(waiting[1]["id"]))["status"] == "done"

        retried = await project.http.post(f"/api/v1/tasks/{waiting[0]['id']}/retry")
        assert retried.status_code == 202
        assert (await project.wait(waiting[0]["id"]))["status"] == "done"

        assert {task["id"] for task in await project.tasks(tag="batch")} == {task["id"] for task in waiting}
        assert [task["id"] for task in await project.tasks(q="slow")] == [slow["id"]]
        assert [task["id"] for task in await project.tasks(status="cancelled")] == [slow["id"]]

        done = await project.status(waiting[1]["id"])
        assert (await stranger.http.get(done["result"]["url"])).status_code == 404
        assert (await stranger.http.get(f"/api/v1/tasks/{slow['id']}/status")).status_code == 404
        assert (await stranger.http.get(f"/api/v1/live/tasks/{slow['id']}")).status_code == 404
        assert await stranger.tasks() == []


async def _workers_ready(project: ProjectClient) -> dict[str, int]:
    found: dict[str, int] = (await project.http.get("/api/v1/health")).json()["workers_ready"]
    return found


def _of_images(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [worker for worker in report["workers"] if worker["medium"] == "image"]


async def test_the_system_is_monitored(platform: Platform) -> None:
    async with platform.project() as project:
        assert (await project.http.get("/healthz")).status_code == 200
        ready = (await project.http.get("/readyz")).json()
        assert ready["ready"] and set(ready["checks"].values()) == {"ok"}
        # Each replica that may answer hears of the workers when their next heartbeats reach it.
        async with asyncio.timeout(30):
            while await _workers_ready(project) != {"image": 1, "video": 1, "audio": 1}:
                await asyncio.sleep(0.02)

        # Otherwise the first heartbeat of a busy worker may be from before it has loaded anything.
        await project.make(params={"steps": 1})
        slow = await project.submit(params={"steps": 50, "width": 256, "height": 256})
        await project.wait(slow["id"], "generating")
        async with asyncio.timeout(30):
            while True:
                report = (await project.http.get("/api/v1/workers/status")).json()
                if report["by_state"].get("busy") and any(worker["warm_models"] for worker in _of_images(report)):
                    break
                await asyncio.sleep(0.02)
        [worker] = _of_images(report)
        assert worker["warm_models"] == ["tiny-image", "tiny-image-edit"]
        assert worker["device"]["kind"] in ("cpu", "cuda")
        models = {model["key"]: model for model in (await project.http.get("/api/v1/models")).json()}
        assert models["tiny-image"]["warm"]
        assert models["tiny-image"]["workers"] == 1
        await project.wait(slow["id"])

        history = await project.history(slow["id"])
        types = [entry["type"] for entry in history]
        assert types[0] == "task.accepted.v1"
        assert types[-1] == "task.done.v1"
        assert [entry["seq"] for entry in history] == sorted(entry["seq"] for entry in history)


async def test_what_could_not_start_in_time_expires(platform: Platform) -> None:
    async with platform.project() as project:
        slow = await project.submit(params={"steps": 50, "width": 256, "height": 256})
        await project.wait(slow["id"], "generating")
        soon = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
        late = await project.submit(expires_at=soon)
        ended = await project.wait(late["id"], within=60)
        assert ended["status"] == "expired"
        await project.wait(slow["id"])


async def test_alike_tasks_share_a_forward_pass(platform: Platform) -> None:
    """While one runs others come; they are made together, each with its own prompt, seed, progress and end."""
    async with platform.project() as project:
        first = await project.submit(params={"steps": 30, "width": 256})
        await project.wait(first["id"], "generating", "storing", "done")
        waiting = [await project.submit(params={"prompt": f"{n} red circles", "seed": n, "steps": 6}) for n in range(4)]
        done = [await project.wait(task["id"]) for task in waiting]
        assert [task["status"] for task in done] == ["done"] * 4
        assert len({task["result"]["sha256"] for task in done}) == 4
        manifests = [(await project.http.get(task["result"]["manifest_url"])).json() for task in done]
        assert max(manifest["provenance"]["batch"] for manifest in manifests) > 1
        assert [manifest["provenance"]["params"]["seed"] for manifest in manifests] == [0, 1, 2, 3]


async def test_a_done_task_is_replayed_and_comes_out_the_same(platform: Platform) -> None:
    """As many as like, also of a replay; told of by webhook; and another project's is none of ours."""
    async with (
        platform.project() as project,
        platform.project() as stranger,
        receiver(project, ["task.done.v1"]) as hooks,
    ):
        original = await project.make(params={"prompt": "a red circle", "steps": 6}, title="Opening shot")
        [again, repeated] = await asyncio.gather(*(project.replay(original["id"], key="check") for _ in range(2)))
        assert again["id"] == repeated["id"] != original["id"]
        assert again["replay_of"] == {"task_id": original["id"], "media_id": original["result"]["id"]}
        assert again["params"] == original["params"]

        done = await project.wait(again["id"])
        assert done["status"] == "done", done["error"]
        same = {"equal": True, "max_difference": 0, "mean_difference": 0, "psnr_db": None, "note": None}
        assert done["replay"] == same
        assert done["result"]["sha256"] == original["result"]["sha256"]
        assert done["result"]["id"] != original["result"]["id"]
        await hooks.wait_for(2)
        assert [told["data"]["replay"] for told in hooks.received] == [None, done["replay"]]

        of_the_replay = await project.wait((await project.replay(done["id"]))["id"])
        assert of_the_replay["replay_of"]["task_id"] == done["id"]
        assert of_the_replay["replay"]["equal"] is True
        foreign = await stranger.http.post(f"/api/v1/tasks/{original['id']}/replay")
        assert foreign.status_code == 404


async def test_an_operator_has_webhooks_sent_again_and_the_audit_tells(platform: Platform) -> None:
    """Notification does it, submission keeps the audit, and the bus is all there is between them."""
    async with platform.project() as project, receiver(project, ["task.done.v1"]) as hooks:
        await project.make(params={"prompt": "a red circle", "steps": 2})
        [hook] = (await project.admin("GET", f"/webhooks/{project.id}")).json()
        path = f"/webhooks/{project.id}/{hook['id']}"
        wanted = {"since": (datetime.now(UTC) - timedelta(hours=1)).isoformat(), "states": ["delivered"]}
        async with asyncio.timeout(60):
            while (await project.admin("POST", f"{path}/replay", json=wanted)).json()["matched"] < 1:
                await asyncio.sleep(0.05)
        assert len(hooks.received) == 1
        done = await project.admin("POST", f"{path}/replay", json={**wanted, "dry_run": False})
        assert done.json()["replayed"] == 1
        await hooks.wait_for(2)
        assert len(set(hooks.ids)) == 1
        async with asyncio.timeout(60):
            while not (told := [one for one in await _audit(project) if one["target"] == f"{project.id}/{hook['id']}"]):
                await asyncio.sleep(0.05)
        [action] = told
        assert (action["action"], action["before"]) == ("webhooks.replay", {"delivered": 1})
        assert action["correlation_id"] == done.headers["X-Correlation-ID"]


async def _audit(project: ProjectClient) -> list[dict[str, Any]]:
    actions: list[dict[str, Any]] = (await project.admin("GET", "/audit")).json()
    return actions
