"""Dead letters as operators browse them and have them said again."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from contracts.errors import DependencyUnavailable
from contracts.events import Message, dead_letter, task_changed
from contracts.tasks import Phase
from contracts.testing.examples import NOON, a_task_in
from contracts.topics import REMINDERS, TASK_CONTROL, TASK_EVENTS, TASK_REQUESTS, Topic

from tests.contract.conftest import Api

REQUEST: dict[str, Any] = {
    "specversion": "1.0",
    "id": "event-1",
    "source": "/cms",
    "type": "task.requested.v1",
    "data": {"project_id": "p1", "model": "tiny-image", "params": {"prompt": "a red circle"}},
}


async def has(api: Api, body: str | bytes, topic: Topic | str = TASK_REQUESTS, app: str = "submission") -> str:
    """A letter, and its id."""
    raw = body.encode() if isinstance(body, str) else body
    name = topic if isinstance(topic, str) else topic.name
    message = dead_letter(app, name, "it was a bad day", raw, api.world.clock.advance(seconds=1))
    assert await api.running.deliver(message) == "SUCCESS"
    [newest] = (await api.admin("GET", "/dead-letters", params={"limit": 1})).json()
    return str(newest["id"])


async def redrive(api: Api, letter_id: str, **body: Any) -> httpx.Response:
    return await api.admin("POST", f"/dead-letters/{quote(letter_id, safe='')}/redrive", json=body)


def said(api: Api) -> list[Message]:
    return [message for message in api.world.bus.messages if message.event.id == "event-1"]


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_only_operators_look_and_redrive(api: Api, key: str | None) -> None:
    letter_id = await has(api, json.dumps(REQUEST))
    headers = {"X-API-Key": api.key} | ({"X-Admin-Key": key} if key is not None else {})
    for method, path in (("GET", ""), ("GET", f"/{letter_id}"), ("POST", f"/{letter_id}/redrive")):
        options: dict[str, Any] = {"json": {}} if method == "POST" else {}
        answer = await api.running.http.request(method, f"/api/v1/admin/dead-letters{path}", headers=headers, **options)
        assert answer.status_code == 401
    assert said(api) == []


async def test_is_said_again_as_it_was(api: Api) -> None:
    letter_id = await has(api, json.dumps(REQUEST))
    answer = await redrive(api, letter_id)
    assert answer.status_code == 200, answer.text
    assert answer.json()["redriven_at"] is not None
    [message] = said(api)
    assert (message.topic, message.event.id, message.event.type) == (TASK_REQUESTS, "event-1", "task.requested.v1")
    assert message.event.data == REQUEST["data"]
    assert await api.running.deliver(message) == "SUCCESS"
    tasks = (await api.call("GET", "/projects/p1/tasks")).json()["items"]
    assert [task["params"]["prompt"] for task in tasks] == ["a red circle"]


@pytest.mark.parametrize("topic", [TASK_EVENTS, REMINDERS])
async def test_other_services_events_are_said_to_them(api: Api, topic: Topic) -> None:
    body = task_changed(a_task_in(Phase.DONE), "storage").event.model_copy(update={"id": "event-1"}).model_dump_json()
    await redrive(api, await has(api, body, topic, "notification"))
    assert [message.topic for message in said(api)] == [topic]


async def test_a_second_time_only_by_force(api: Api) -> None:
    letter_id = await has(api, json.dumps(REQUEST))
    assert (await redrive(api, letter_id)).status_code == 200
    again = await redrive(api, letter_id)
    assert (again.status_code, again.json()["code"]) == (409, "cannot-redrive")
    assert len(said(api)) == 1
    assert (await redrive(api, letter_id, force=True)).status_code == 200
    assert len(said(api)) == 2
    assert [one["action"] for one in (await api.admin("GET", "/audit")).json()] == ["dead-letter.redrive"] * 2


async def test_while_the_broker_is_away_it_stays_as_it_is(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    letter_id = await has(api, json.dumps(REQUEST))

    async def away(_message: Message) -> None:
        raise DependencyUnavailable("the broker does not answer")

    monkeypatch.setattr(api.world.bus, "publish", away)
    assert (await redrive(api, letter_id)).status_code == 503
    monkeypatch.undo()
    [letter] = (await api.admin("GET", "/dead-letters")).json()
    assert letter["redriven_at"] is None
    assert (await api.admin("GET", "/audit")).json() == []
    assert (await redrive(api, letter_id)).status_code == 200


@pytest.mark.parametrize(
    ("body", "topic"),
    [
        ("no JSON at all", TASK_REQUESTS),
        (json.dumps(REQUEST)[:50], TASK_REQUESTS),
        ("[]", TASK_REQUESTS),
        (b"\xff\xfe\x00", TASK_REQUESTS),
        ("{" * 10_000, TASK_REQUESTS),
        (json.dumps(REQUEST), TASK_CONTROL),
        (json.dumps(REQUEST), "dead-letters"),
        (json.dumps(REQUEST), "somewhere/else"),
        (json.dumps(REQUEST), "?"),
    ],
)
async def test_what_would_only_fail_again_is_refused(api: Api, body: str | bytes, topic: Topic | str) -> None:
    letter_id = await has(api, body, topic)
    before = len(api.world.bus.messages)
    assert (await redrive(api, letter_id)).status_code == 409
    assert len(api.world.bus.messages) == before


async def test_hostile_content_stays_data(api: Api) -> None:
    """Whatever it says, it is said to those who judge it, and to nobody else."""
    hostile = REQUEST | {
        "topic": "task-control",
        "pubsubname": "broadcast",
        "data": {"project_id": "../p2", "x": "\x1b[2J"},
    }
    await redrive(api, await has(api, json.dumps(hostile)))
    [message] = said(api)
    assert message.topic is TASK_REQUESTS
    await api.running.deliver(message)
    assert (await api.call("GET", "/projects/p2/tasks", key=api.stranger)).json()["items"] == []


async def test_can_be_browsed(api: Api) -> None:
    first = await has(api, json.dumps(REQUEST))
    second = await has(api, "x", TASK_EVENTS, "storage")
    await redrive(api, first)

    async def found(**query: Any) -> list[str]:
        answer = await api.admin("GET", "/dead-letters", params=query)
        assert answer.status_code == 200
        return [letter["id"] for letter in answer.json()]

    assert await found() == [second, first]
    assert await found(limit=1) == [second]
    assert await found(topic="task-requests") == await found(redriven=True) == [first]
    assert await found(app="storage") == await found(redriven=False) == [second]
    assert (await api.admin("GET", f"/dead-letters/{second}")).json()["event"] == "x"


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    for letter_id in ("nothing", "a/b/c", "x" * 2000):
        assert (await redrive(api, letter_id)).status_code == 404
        assert (await api.admin("GET", f"/dead-letters/{letter_id}")).status_code == 404


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"topic": "x" * 101}, {"redriven": "perhaps"}])
async def test_what_is_no_question_is_refused(api: Api, query: dict[str, Any]) -> None:
    assert (await api.admin("GET", "/dead-letters", params=query)).status_code == 422


async def test_an_id_that_could_be_part_of_no_address_gets_another(api: Api) -> None:
    message = dead_letter("submission", TASK_REQUESTS.name, "why", json.dumps(REQUEST).encode(), NOON)
    hostile = message.event.model_copy(update={"id": "../x/redrive?a#b"})
    assert await api.running.deliver(Message(message.topic, message.key, hostile)) == "SUCCESS"
    [letter] = (await api.admin("GET", "/dead-letters")).json()
    assert (await redrive(api, letter["id"])).status_code == 200


async def test_the_audit_has_no_content(api: Api) -> None:
    letter_id = await has(api, json.dumps(REQUEST))
    await redrive(api, letter_id)
    [action] = (await api.admin("GET", "/audit")).json()
    assert (action["target"], action["before"]["redriven_at"]) == (letter_id, None)
    assert action["after"]["redriven_at"] == NOON.replace(second=1).isoformat()
    assert "prompt" not in json.dumps(action)
