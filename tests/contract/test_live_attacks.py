"""What opens no live feed. Every refusal is the same, so that it tells nothing."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from chassis.sealed import Claims, Seal
from contracts.records import TaskRecords
from contracts.secrets import hidden
from contracts.tasks import Phase
from contracts.testing.examples import NOON, a_task, a_task_in
from cryptography.fernet import Fernet
from notification.adapters.vault import FernetVault
from notification.handlers.admitting import PURPOSE

from tests.conftest import World
from tests.contract.live_server import FERNET_KEY, LiveServer, a_task_told, live_server

PROJECT = "/api/v1/live/projects/p1"
TASK = a_task_in(Phase.GENERATING, tags=("shot 1/2", "hero"))
UNAUTHENTICATED = 4401
SOON = NOON + timedelta(seconds=60)


def claims(key_id: str) -> Claims:
    return {"key": key_id, "project_id": "p1", "task_id": None, "tag": None}


@pytest.fixture
async def live(world: World, database_url: Callable[[str], str]) -> AsyncIterator[LiveServer]:
    await world.add_project("p1", "k1")
    await world.add_project("p2", "k2")
    await TaskRecords(world.state, world.clock).create(TASK)
    async with live_server(world, database_url("notification"), live_connections=5) as found:
        yield found


async def refused(live: LiveServer, ticket: str, path: str = PROJECT) -> None:
    assert await live.status(f"{path}?ticket={ticket}") == 401
    assert await live.refusal(f"/api/v1/live/ws?ticket={ticket}") == UNAUTHENTICATED


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({}, "projects/p2"),
        ({}, f"tasks/{TASK.id}"),
        ({}, "tags/hero"),
        ({}, "projects/unknown"),
        ({"task_id": TASK.id}, "projects/p1"),
        ({"task_id": TASK.id}, f"tasks/{a_task(project_id='p2').id}"),
        ({"task_id": TASK.id}, "tags/hero"),
        ({"tag": "hero"}, "tags/Hero"),
        ({"tag": "hero"}, "tags/her"),
        ({"tag": "hero"}, "projects/p1"),
    ],
)
async def test_a_ticket_for_something_else(live: LiveServer, scope: dict[str, str], path: str) -> None:
    ticket = (await live.ticket(**scope))["ticket"]
    assert await live.status(f"/api/v1/live/{path}?ticket={ticket}") == 401
    # A good key beside it makes it no better.
    headers = {"X-API-Key": live.key}
    assert await live.status(f"/api/v1/live/{path}?ticket={ticket}", **headers) == 401


async def test_a_ticket_for_something_else_by_web_socket(live: LiveServer) -> None:
    ticket = (await live.ticket(task_id=TASK.id))["ticket"]
    for query in (f"task_id={a_task(project_id='p2').id}", "tag=hero", f"task_id={TASK.id}&tag=hero"):
        code = await live.refusal(f"/api/v1/live/ws?ticket={ticket}&{query}")
        assert code == UNAUTHENTICATED


async def test_another_projects_ticket_tells_only_of_that(live: LiveServer) -> None:
    theirs = await live.ticket(live.stranger)
    async with live.connect(theirs["websocket"]) as socket:
        await live.tell(a_task_told(1))
        await live.tell(a_task_told(2, "p2"))
        assert '"project_id":"p2"' in str(await socket.recv())


async def test_an_expired_one(live: LiveServer) -> None:
    made = await live.ticket()
    live.world.clock.advance(seconds=59)
    assert await live.status(made["sse"]) == 200
    live.world.clock.advance(seconds=2)
    await refused(live, made["ticket"])


async def test_a_truncated_or_altered_one(live: LiveServer) -> None:
    ticket = (await live.ticket())["ticket"]
    other = (await live.ticket(live.stranger))["ticket"]
    altered = ticket[:40] + ("A" if ticket[40] != "A" else "B") + ticket[41:]
    for wrong in (ticket[:-4], ticket[:20], ticket[1:], altered, ticket[:60] + other[60:], ticket + "AAAA"):
        await refused(live, wrong)


@pytest.mark.parametrize(
    "made_up", ["x", "=", "gAAAA", "%00", "%C3%A9", "null", "A" * 5000, "..%2F..", "gAAAAA" + "B" * 94]
)
async def test_a_made_up_one(live: LiveServer, made_up: str) -> None:
    await refused(live, made_up)


async def test_what_the_services_own_key_has_encrypted_for_another_purpose(live: LiveServer) -> None:
    secret = FernetVault(FERNET_KEY).lock("whsec_x").decode()
    content = json.dumps({"until": 9e9, "claims": claims("k1")})
    as_a_ticket = Fernet(FERNET_KEY).encrypt_at_time(content.encode(), int(NOON.timestamp())).decode()
    for sealed in (secret, as_a_ticket, as_a_ticket.rstrip("=")):
        await refused(live, sealed)


async def test_one_sealed_by_another_platform(live: LiveServer) -> None:
    theirs = Seal(Fernet.generate_key().decode(), PURPOSE).seal(claims("k1"), SOON)
    await refused(live, theirs)


async def test_a_key_of_another_project_in_a_sealed_ticket(live: LiveServer) -> None:
    mixed = Seal(FERNET_KEY, PURPOSE).seal(claims("k2"), SOON)
    await refused(live, mixed)


async def test_an_api_key_as_a_ticket_or_in_the_query(live: LiveServer) -> None:
    await refused(live, live.key)
    assert await live.status(f"{PROJECT}?api_key={live.key}") == 401
    assert await live.refusal(f"/api/v1/live/ws?api_key={live.key}") == UNAUTHENTICATED


async def test_a_ticket_as_an_api_key(live: LiveServer) -> None:
    ticket = (await live.ticket())["ticket"]
    for path in (PROJECT, "/api/v1/webhooks", f"/api/v1/live/tasks/{TASK.id}"):
        assert await live.status(path, **{"X-API-Key": ticket}) == 401
        assert await live.status(f"{path}?api_key={ticket}") == 401
    code = await live.refusal("/api/v1/live/ws", additional_headers={"X-API-Key": ticket})
    assert code == UNAUTHENTICATED


async def test_no_log_holds_a_ticket(live: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    made = await live.ticket()
    with caplog.at_level(logging.DEBUG):
        async with live.sse(made["sse"]), live.connect(made["websocket"]):
            pass
        await live.refusal(made["websocket"] + "x")
    by_uvicorn = [record.getMessage() for record in caplog.records if record.name == "uvicorn.error"]
    assert any(made["ticket"] in line for line in by_uvicorn), "uvicorn tells of whole addresses"
    for record in caplog.records:
        if not record.name.startswith(("httpx", "httpcore", "websockets")):
            assert made["ticket"] not in hidden(record.getMessage())
