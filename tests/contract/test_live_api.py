"""The live feed over real connections: who may open what, from where, and what is told."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import websockets
from chassis.preview_links import PreviewLinks
from contracts.errors import DependencyUnavailable
from contracts.events import TaskProgressed, task_progressed
from contracts.projects import ApiKey
from contracts.records import TaskRecords, api_key_records
from contracts.tasks import Phase, ProcessingProgress
from contracts.testing.examples import NOON, a_task, a_task_in

from tests.conftest import World, until
from tests.contract.live_server import FERNET_KEY, ORIGIN, LiveServer, a_task_told, live_server

PROJECT = "/api/v1/live/projects/p1"
TASK = a_task_in(Phase.GENERATING, tags=("shot 1/2", "hero"))
FORBIDDEN, UNAUTHENTICATED, LIMIT_REACHED = 4403, 4401, 4429


@pytest.fixture
async def live(world: World, database_url: Callable[[str], str]) -> AsyncIterator[LiveServer]:
    await world.add_project("p1", "k1")
    await world.add_project("p2", "k2")
    await TaskRecords(world.state, world.clock).create(TASK)
    async with live_server(world, database_url("notification"), live_connections=5) as found:
        yield found


async def revoke(world: World, key_id: str) -> None:
    def revoked(key: ApiKey) -> ApiKey:
        return key.model_copy(update={"revoked_at": world.clock.now()})

    await api_key_records(world.state).change(key_id, revoked)
    world.clock.advance(seconds=6)


class TestTickets:
    @pytest.mark.parametrize(
        ("scope", "path"),
        [
            ({}, "projects/p1"),
            ({"task_id": TASK.id}, f"tasks/{TASK.id}"),
            ({"tag": "shot 1/2"}, "tags/shot%201%2F2"),
            ({"tag": "été"}, "tags/%C3%A9t%C3%A9"),
        ],
    )
    async def test_is_for_a_project_a_task_or_a_tag(self, live: LiveServer, scope: dict[str, str], path: str) -> None:
        answer = await live.post("/live/tickets", json=scope)
        assert answer.status_code == 201
        assert answer.headers["cache-control"] == "no-store"
        made = answer.json()
        assert made["sse"] == f"/api/v1/live/{path}?ticket={made['ticket']}"
        assert made["websocket"] == f"/api/v1/live/ws?ticket={made['ticket']}"
        assert made["expires_at"] == (NOON + timedelta(seconds=60)).isoformat().replace("+00:00", "Z")
        async with live.sse(made["sse"]), live.connect(made["websocket"]):
            pass

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"task_id": a_task(project_id="p2").id}, 404),
            ({"task_id": "unknown"}, 404),
            ({"task_id": TASK.id, "tag": "hero"}, 422),
            ({"tag": ""}, 422),
            ({"tag": "x" * 65}, 422),
            ({"tag": "a\x00b"}, 422),
            ({"project_id": "p2"}, 422),
            ([], 422),
        ],
    )
    async def test_is_not_made_for_anything_else(self, live: LiveServer, body: Any, status: int) -> None:
        answer = await live.post("/live/tickets", json=body)
        assert answer.status_code == status, answer.text

    async def test_is_made_with_a_key_only(self, live: LiveServer) -> None:
        ticket = (await live.ticket())["ticket"]
        for headers in ({}, {"X-API-Key": "mt_k1_wrong"}, {"X-API-Key": ticket}):
            refused = await live.http.post(f"/api/v1/live/tickets?ticket={ticket}", json={}, headers=headers)
            assert refused.status_code == 401

    async def test_tells_the_same_as_the_key_does(self, live: LiveServer) -> None:
        made = await live.ticket(task_id=TASK.id)
        async with live.sse(made["sse"]) as by_sse, live.connect(made["websocket"]) as by_socket:
            await live.tell(TASK)
            [told] = await by_sse.take(1)
            assert (told["type"], told["data"]["id"]) == ("task.processing.v1", TASK.id)
            assert f'"id":"{TASK.id}"' in str(await by_socket.recv())

    async def test_opens_on_every_replica(self, live: LiveServer, database_url: Callable[[str], str]) -> None:
        made = await live.ticket()
        async with live_server(live.world, database_url("other")) as second:
            assert await second.status(made["sse"]) == 200

    async def test_stays_open_after_the_ticket_has_expired_and_ends_with_its_key(self, live: LiveServer) -> None:
        made = await live.ticket()
        async with live.sse(made["sse"]) as stream, live.connect(made["websocket"]) as socket:
            live.world.clock.advance(seconds=3600)
            await live.tell(a_task_told(1))
            assert [told["id"] for told in await stream.take(1)] == ["1"]
            await socket.recv()
            await revoke(live.world, "k1")
            await live.tell(a_task_told(2))
            async with asyncio.timeout(20):
                await socket.wait_closed()
            assert stream.told.empty()

    async def test_ends_with_its_key_before_it_was_used(self, live: LiveServer) -> None:
        made = await live.ticket()
        await revoke(live.world, "k1")
        assert await live.status(made["sse"]) == 401
        assert await live.refusal(made["websocket"]) == UNAUTHENTICATED


class TestStreams:
    async def test_what_a_browser_and_a_proxy_must_know(self, live: LiveServer) -> None:
        async with live.sse(PROJECT, **{"X-API-Key": live.key}) as stream:
            assert stream.response is not None
            headers = stream.response.headers
            assert headers["content-type"].startswith("text/event-stream")
            assert headers["cache-control"] == "no-store"
            assert headers["x-accel-buffering"] == "no"
            assert [event.retry for event in stream.raw] == [3000]

    async def test_a_quiet_stream_is_kept_alive(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("notification.routes.live.PING_SECONDS", 0.05)
        async with live.http.stream("GET", PROJECT, headers={"X-API-Key": live.key}) as answer:
            async with asyncio.timeout(20):
                async for line in answer.aiter_lines():
                    if line.startswith(": ping"):
                        break

    async def test_resumes_by_header_or_by_query_and_the_header_is_newer(self, live: LiveServer) -> None:
        for number in range(1, 5):
            await live.tell(a_task_told(number))
        key = {"X-API-Key": live.key}
        async with live.sse(f"{PROJECT}?last_event_id=2", **key) as stream:
            assert [told["id"] for told in await stream.take(2)] == ["3", "4"]
        async with live.sse(f"{PROJECT}?last_event_id=1", **key, **{"Last-Event-ID": "3"}) as stream:
            assert [told["id"] for told in await stream.take(1)] == ["4"]
        made = await live.ticket()
        async with live.sse(f"{made['sse']}&last_event_id=3") as stream:
            assert [told["id"] for told in await stream.take(1)] == ["4"]

    @pytest.mark.parametrize("position", ["x", "-1", "1.5", "9" * 19, "%D9%A1"])
    async def test_a_made_up_position_is_refused(self, live: LiveServer, position: str) -> None:
        assert await live.status(f"{PROJECT}?last_event_id={position}", **{"X-API-Key": live.key}) == 422

    async def test_a_position_of_another_database_resets(self, live: LiveServer) -> None:
        await live.tell(a_task_told(1))
        headers = {"X-API-Key": live.key, "Last-Event-ID": "900"}
        async with live.sse(PROJECT, **headers) as stream:
            reset, first = await stream.take(2)
            assert (reset["type"], reset["id"], reset["data"]) == ("feed.reset.v1", "0", {"reason": "unknown"})
            assert first["id"] == "1"
        async with live.connect("/api/v1/live/ws?last_event_id=900", additional_headers=headers) as socket:
            assert str(await socket.recv()) == '{"id":0,"type":"feed.reset.v1","data":{"reason":"unknown"}}'

    async def test_a_position_older_than_what_is_kept_resets(self, live: LiveServer) -> None:
        for number in range(1, 4):
            await live.tell(a_task_told(number))
        live.world.clock.advance(hours=30)
        assert await live.running.ring("notification-prune-test") == 204
        headers = {"X-API-Key": live.key}
        reset, done = "feed.reset.v1", "task.done.v1"
        for position, told in (("1", [reset, done]), ("0", [done]), ("3", [done])):
            async with live.sse(PROJECT, **headers, **{"Last-Event-ID": position}) as stream:
                task = a_task_told(10 + int(position))
                await live.tell(task.model_copy(update={"updated_at": live.world.clock.now()}))
                assert [one["type"] for one in await stream.take(len(told))] == told

    async def test_a_preview_comes_as_a_link_to_who_watches(self, live: LiveServer) -> None:
        async with live.sse(PROJECT, **{"X-API-Key": live.key}) as stream:
            await until(lambda: "feed.watched.v1" in live.world.bus.types)
            progress = ProcessingProgress(step=2, total=4, fraction=0.5)
            progressed = TaskProgressed(
                task_id=TASK.id, project_id="p1", attempt=1, phase=Phase.GENERATING, progress=progress
            )
            for preview_step in (None, 1):
                told = progressed.model_copy(update={"preview_step": preview_step})
                await live.running.deliver(task_progressed(told, "gpu-worker-image", NOON))
            without, with_one = [told["data"] for told in await stream.take(2)]
        assert without["preview_url"] is None
        assert with_one["preview_step"] == 1
        path, _, token = with_one["preview_url"].partition("?link=")
        assert path == f"/api/v1/media/previews/{TASK.id}"
        opened = PreviewLinks(FERNET_KEY).open(token, TASK.id, live.world.clock.now())
        assert (opened.project_id, opened.attempt) == ("p1", "1")

    async def test_by_tag_with_the_progress_of_its_tasks(self, live: LiveServer) -> None:
        await live.tell(TASK)
        await live.tell(a_task_told(1, tags=["other"]))
        made = await live.ticket(tag="hero")
        async with (
            live.sse(made["sse"]) as stream,
            live.sse("/api/v1/live/tags/shot%201%2F2?last_event_id=0", **{"X-API-Key": live.key}) as resumed,
        ):
            await live.tell(a_task_told(2, tags=["other"]))
            for task_id in (a_task_told(1).id, TASK.id):
                progress = ProcessingProgress(step=1, total=2, fraction=0.5)
                progressed = TaskProgressed(
                    task_id=task_id, project_id="p1", attempt=1, phase=Phase.GENERATING, progress=progress
                )
                await live.running.deliver(task_progressed(progressed, "gpu-worker-image", NOON))
            await live.tell(a_task_told(3, tags=["hero"]))
            progress_told, lifecycle = await stream.take(2)
            assert (progress_told["type"], progress_told["data"]["task_id"]) == ("task.progressed.v1", TASK.id)
            assert lifecycle["data"]["id"] == a_task_told(3).id
            assert [told["id"] for told in await resumed.take(1)] == ["1"]

    async def test_only_so_many_of_a_project(self, live: LiveServer) -> None:
        made, key = await live.ticket(), {"X-API-Key": live.key}
        async with (
            live.sse(PROJECT, **key),
            live.sse(made["sse"]),
            live.sse(made["sse"]),
            live.connect(made["websocket"]),
            live.connect(made["websocket"]),
        ):
            await self.opens_with(live, made["sse"], 429)
            refused = await live.http.get(made["sse"])
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
            assert refused.json()["code"] == "limit-reached"
            assert "5" in refused.json()["detail"]
            assert await live.refusal(made["websocket"]) == LIMIT_REACHED
            assert await live.status("/api/v1/live/projects/p2", **{"X-API-Key": live.stranger}) == 200
        await self.opens_with(live, made["sse"], 200)

    async def opens_with(self, live: LiveServer, path: str, status: int) -> None:
        """Sooner or later: the server learns a moment later than the client what has begun and ended."""
        async with asyncio.timeout(20):
            while await live.status(path) != status:
                await asyncio.sleep(0.01)

    async def test_a_feed_that_cannot_ask_for_its_key_ends_and_can_be_resumed(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(_key: str) -> None:
            raise DependencyUnavailable("the state store is away")

        made = await live.ticket()
        async with live.connect(made["websocket"]) as socket:
            live.world.clock.advance(seconds=6)
            monkeypatch.setattr(live.world.state, "get", away)
            await live.tell(a_task_told(1))
            async with asyncio.timeout(20):
                await socket.wait_closed()
            assert socket.close_code == 1013


async def told_something(live: LiveServer, socket: websockets.ClientConnection) -> None:
    """A connection is open a moment before its watcher has joined."""
    async with asyncio.timeout(30):
        for number in itertools.count(1):
            await live.tell(a_task_told(number))
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await socket.recv()
                    return


class TestOrigins:
    async def test_a_page_of_an_allowed_origin(self, live: LiveServer) -> None:
        preflight = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key, content-type",
        }
        answer = await live.http.options("/api/v1/live/tickets", headers=preflight)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in answer.headers
        made = await live.ticket()
        async with live.sse(made["sse"], Origin=ORIGIN) as stream:
            assert stream.response is not None
            assert stream.response.headers["access-control-allow-origin"] == ORIGIN

    @pytest.mark.parametrize(
        ("origin", "asks_for"), [("https://evil.example", "x-api-key"), ("null", ""), (ORIGIN, "x-admin-key")]
    )
    async def test_what_a_page_may_not_send(self, live: LiveServer, origin: str, asks_for: str) -> None:
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight |= {"Access-Control-Request-Headers": asks_for} if asks_for else {}
        answer = await live.http.options("/api/v1/live/tickets", headers=preflight)
        assert answer.status_code == 400

    @pytest.mark.parametrize(
        ("origin", "opens"),
        [
            (ORIGIN, True),
            ("https://evil.example", False),
            ("null", False),
            (ORIGIN + ".evil.example", False),
            ("", False),
        ],
    )
    async def test_a_web_socket_with_a_ticket(self, live: LiveServer, origin: str, opens: bool) -> None:
        made = await live.ticket()
        options: dict[str, Any] = {"additional_headers": {"Origin": origin}}
        if opens:
            async with live.connect(made["websocket"], **options) as socket:
                await told_something(live, socket)
        else:
            assert await live.refusal(made["websocket"], **options) == FORBIDDEN

    async def test_a_page_of_the_platforms_own_host(self, live: LiveServer) -> None:
        made = await live.ticket()
        headers = {"Origin": f"https://127.0.0.1:{live.port}"}
        async with live.connect(made["websocket"], additional_headers=headers) as socket:
            await told_something(live, socket)
