"""PayloadCMS with the plugin, daprd and all services, as an editor meets them: nothing is faked."""

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx

from tests.e2e.conftest import Newsroom, Newsrooms
from tests.e2e.door import Door
from tests.e2e.payload_server import Document, PayloadServer, request
from tests.postgres_server import Server

PNG = b"\x89PNG\r\n\x1a\n"
SLOW = {"steps": 50, "width": 256, "height": 256}


async def test_a_document_becomes_a_picture_that_is_opened_from_it(room: Newsroom) -> None:
    asked = await room.editor.ask(room.project, title="A circle", tags=["one"], priority="high")
    assert (asked["status"], asked["medium"]) == ("waiting", "image")
    done = await room.editor.done(asked)
    [result] = done["results"]
    assert (result["contentType"], result["width"], done["progress"]) == ("image/png", 128, 100)
    file = await room.editor.result(done)
    assert file.startswith(PNG) and len(file) == result["size"]
    task = await room.service.status(asked["taskId"])
    assert (task["title"], task["tags"], task["priority"]) == ("A circle", ["one"], "high")
    assert room.service.key not in room.server.log


async def test_a_picture_of_the_cms_is_the_input_of_a_task(room: Newsroom) -> None:
    first = await room.editor.done(await room.editor.ask(room.project))
    picture = {"file": ("circle.png", await room.editor.result(first), "image/png")}
    form = {"_payload": f'{{"project": {room.project["id"]}}}'}
    media = (await room.editor.call("POST", "/media", data=form, files=picture))["doc"]
    inputs = [{"name": "image", "media": media["id"]}]
    edited = await room.editor.ask(room.project, model="tiny-image-edit", params={"steps": 2}, inputs=inputs)
    assert (await room.editor.result(await room.editor.done(edited))).startswith(PNG)


async def test_a_document_reminds_and_starts_when_it_says(room: Newsroom) -> None:
    start = datetime.now(UTC) + timedelta(seconds=8)
    remind = {"at": (start - timedelta(seconds=4)).isoformat(), "note": "call the studio"}
    asked = await room.editor.ask(room.project, startAt=start.isoformat(), reminders=[remind])
    reminded = await room.editor.until("media-tasks", asked["id"], lambda found: bool(found["reminded"]))
    assert (reminded["status"], reminded["phase"]) == ("pending", "scheduled")
    assert [(one["note"], one["lateSeconds"]) for one in reminded["reminded"]] == [("call the studio", None)]
    done = await room.editor.done(asked)
    task = await room.service.status(asked["taskId"])
    assert datetime.fromisoformat(task["started_at"]) >= start
    assert done["estimate"]["p50At"] and len(done["reminded"]) == 1


async def test_what_cannot_be_made_is_refused_with_the_reason(room: Newsroom) -> None:
    wrong = request(room.project, params={"width": 63})
    answer = await room.editor.http.post("/api/media-tasks", json=wrong)
    assert answer.status_code == 400
    [problem] = answer.json()["errors"][0]["data"]["errors"]
    assert problem["path"] == "params.width"
    assert "64 to 256" in problem["message"]
    assert await room.service.tasks() == []


async def test_what_the_service_refuses_says_why_and_can_be_mended(room: Newsroom) -> None:
    """A project that an operator has suspended meanwhile."""
    await room.service.admin("PATCH", f"/projects/{room.service.id}", json={"active": False})
    refused = await room.editor.ended(await room.editor.ask(room.project))
    assert (refused["status"], refused["error"]["code"]) == ("rejected", "project-inactive")
    assert "suspended" in refused["error"]["detail"]
    await room.service.admin("PATCH", f"/projects/{room.service.id}", json={"active": True})
    await room.editor.call("POST", f"/media-tasks/{refused['id']}/retry")
    await room.editor.done(refused)


async def test_a_document_saved_while_the_platform_is_away_is_made_when_it_is_back(newsrooms: Newsrooms) -> None:
    access = newsrooms.platform.access
    service, sidecar = Door(access.api), Door(access.dapr)
    await service.open()
    await sidecar.open()
    room = await newsrooms.open_own(replace(access, api=service.url, dapr=sidecar.url))
    await room.editor.done(await room.editor.ask(room.project))
    await service.shut()
    await sidecar.shut()
    asked = await room.editor.ask(room.project, params={"steps": 3})
    refused = await room.editor.http.post("/api/media-tasks", json=request(room.project, params={"width": 63}))
    assert refused.status_code == 400
    await asyncio.sleep(2)  # for some tries that must fail
    assert (await room.editor.call("GET", f"/media-tasks/{asked['id']}"))["status"] == "waiting"
    await service.open()
    await sidecar.open()
    await room.editor.done(asked)
    assert len(await room.service.tasks()) == 2
    await service.shut()
    await sidecar.shut()


async def test_a_task_that_ends_while_the_cms_is_away_is_done_when_it_is_back(newsrooms: Newsrooms) -> None:
    room = await newsrooms.open_own()
    asked = await room.editor.ask(room.project, params=SLOW)
    await room.editor.until("media-tasks", asked["id"], lambda found: found["status"] != "waiting")
    room.server.stop()
    assert (await room.service.wait(asked["taskId"]))["status"] == "done"
    room.server.start()
    assert (await room.editor.result(await room.editor.done(asked))).startswith(PNG)


async def test_an_event_that_is_published_twice_is_one_task(room: Newsroom) -> None:
    asked = await room.editor.ask(room.project, tags=["one"])
    await room.editor.until("media-tasks", asked["id"], lambda found: found["status"] != "waiting")
    await publish_again(room, asked)
    done = await room.editor.done(asked)
    await publish_again(room, asked)
    await asyncio.sleep(1)  # for a rejection or a second task that must not come
    assert [task["id"] for task in await room.service.tasks()] == [asked["taskId"]]
    assert (await room.editor.call("GET", f"/media-tasks/{asked['id']}"))["status"] == "done"
    assert await room.service.status(asked["taskId"]) == await room.service.status(done["taskId"])


async def publish_again(room: Newsroom, asked: Document) -> None:
    await room.service.publish(
        asked["requestId"],
        params={**asked["params"], "prompt": asked["prompt"]},
        inputs={},
        priority=asked["priority"],
        tags=asked["tags"],
        client_ref=asked["requestId"],
    )


async def test_a_document_that_is_deleted_takes_its_task_along(room: Newsroom) -> None:
    asked = await room.editor.ask(room.project, params=SLOW)
    await room.editor.until("media-tasks", asked["id"], lambda found: found["status"] == "processing")
    await room.editor.call("DELETE", f"/media-tasks/{asked['id']}")
    async with asyncio.timeout(60):
        while (task := await room.service.status(asked["taskId"]))["status"] not in ("cancelled", "done"):
            await asyncio.sleep(0.1)
    assert task["status"] == "cancelled"
    deliveries = await delivered(room)
    assert {delivery["last_status"] for delivery in deliveries} == {200}


async def delivered(room: Newsroom) -> list[Document]:
    """All webhooks of the project, once none is under way."""
    [endpoint] = (await room.service.http.get("/api/v1/webhooks")).json()
    async with asyncio.timeout(60):
        while True:
            found = await room.service.http.get(f"/api/v1/webhooks/{endpoint['id']}/deliveries")
            deliveries: list[Document] = found.json()["items"]
            if all(delivery["state"] == "delivered" for delivery in deliveries):
                return deliveries
            await asyncio.sleep(0.1)


async def test_two_replicas_over_one_database_make_each_document_once(newsrooms: Newsrooms, postgres: Server) -> None:
    """Both run the jobs, and those of one are at times run by the other too."""
    access, database = newsrooms.platform.access, postgres.create_database("newsroom", "")
    second = PayloadServer(newsrooms.folder / "second", access, database)
    # Documents are saved at the one, and the service tells the other.
    first = newsrooms.start(PayloadServer(newsrooms.folder / "first", access, database, reached_at=second.url))
    newsrooms.start(second)
    room = await newsrooms.open(first)
    wanted = [{"steps": 1, "seed": seed} for seed in range(8)]
    asked = await asyncio.gather(*(room.editor.ask(room.project, params=params) for params in wanted))
    done = await asyncio.gather(*(room.editor.done(task) for task in asked))
    assert {task["taskId"] for task in done} == {task["id"] for task in await room.service.tasks()}
    assert len((await room.service.http.get("/api/v1/webhooks")).json()) == 1


async def test_a_page_watches_with_a_ticket_and_never_sees_the_key(room: Newsroom) -> None:
    opened = await room.editor.call("GET", "/media-tasks/live", params={"project": room.project["id"]})
    assert room.service.key not in opened["url"]
    async with asyncio.timeout(60), httpx.AsyncClient(timeout=60) as page, page.stream("GET", opened["url"]) as feed:
        asked = await room.editor.ask(room.project)
        lines = feed.aiter_lines()
        while await anext(lines) != "event: task.done.v1":
            pass
        assert json.loads((await anext(lines)).removeprefix("data: "))["client_ref"] == asked["requestId"]


async def test_a_forged_webhook_changes_nothing(room: Newsroom) -> None:
    done = await room.editor.done(await room.editor.ask(room.project))
    forged = {
        "type": "task.failed.v1",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {**await room.service.status(done["taskId"]), "seq": 1000, "status": "failed"},
    }
    signature = {"webhook-id": "msg_1", "webhook-timestamp": f"{time.time():.0f}", "webhook-signature": "v1,Zm9yZ2Vk"}
    async with httpx.AsyncClient() as stranger:
        answer = await stranger.post(f"{room.server.url}/api/media-tasks/webhook", json=forged, headers=signature)
    assert answer.status_code == 401
    assert (await room.editor.call("GET", f"/media-tasks/{done['id']}"))["status"] == "done"
