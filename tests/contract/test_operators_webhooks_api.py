"""What operators do with the webhooks of any project, and that the audit has it before it is done."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from contracts.errors import DependencyUnavailable
from contracts.events import Message, OperatorActed, dead_letter, operator_acted
from contracts.testing.examples import NOON, an_act
from contracts.topics import OPERATOR_ACTIONS
from submission.app import create as create_submission
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, Serve, World, until
from tests.contract.notifying import Api, Receiver, notifying

GONE = b"HTTP/1.1 410 Gone\r\nConnection: close\r\n\r\n"
ROUTES = (
    ("GET", "/{project}"),
    ("GET", "/{project}/{hook}/deliveries"),
    ("GET", "/{project}/{hook}/deliveries/{webhook}"),
    ("POST", "/{project}/{hook}/deliveries/{webhook}/replay"),
    ("POST", "/{project}/{hook}/replay"),
    ("POST", "/{project}/{hook}/enable"),
)
EVERYTHING: dict[str, Any] = {
    "since": (NOON - timedelta(days=1)).isoformat(),
    "states": ["failed", "delivered"],
    "dry_run": False,
}


@pytest.fixture
async def api(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Api]:
    """Notification beside submission, which keeps the audit and hears what is published."""
    submission = create_submission(
        SubmissionSettings(
            admin_key=ADMIN_KEY, submission_database=database_url("submission"), media_url="memory:///", replica="test"
        ),
        world.outside,
    )
    async with notifying(world, serve, database_url("notification"), beside=[submission]) as found:

        async def hears(message: Message) -> None:
            assert await found.running.deliver(message) == "SUCCESS"

        world.bus.subscribe(OPERATOR_ACTIONS.name, hears)
        yield found


@pytest.fixture
async def hook(api: Api, receiver: Receiver) -> str:
    return str((await api.register(f"{receiver.url}?token=the-receivers"))["endpoint"]["id"])


async def operate(api: Api, method: str, path: str, key: str | None = ADMIN_KEY, **body: Any) -> httpx.Response:
    headers = {"X-Operator": "ada"} | ({"X-Admin-Key": key} if key is not None else {})
    options: dict[str, Any] = {"json": body} if method == "POST" else {}
    return await api.running.http.request(method, f"/api/v1/admin/webhooks{path}", headers=headers, **options)


async def audit(api: Api) -> list[dict[str, Any]]:
    found = (await api.running.http.get("/api/v1/admin/audit", headers={"X-Admin-Key": ADMIN_KEY})).json()
    return [action for action in found if action["action"].startswith("webhook")]


async def delivered(api: Api, hook: str, *numbers: int) -> list[str]:
    """Ids, the newest first."""
    for told, number in enumerate(numbers, start=1):
        await api.tell_of(number)
        # Before a minute passes: a try that takes longer than its hold is made again.
        await api.states(hook, *["delivered"] * told)
        api.world.clock.advance(minutes=1)
    return [one["webhook_id"] for one in await api.log(hook)]


def acts(api: Api) -> list[OperatorActed]:
    said = [message for message in api.world.bus.messages if message.topic is OPERATOR_ACTIONS]
    return [OperatorActed.model_validate(message.event.data) for message in said]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_only_operators_may(api: Api, hook: str, receiver: Receiver, method: str, path: str) -> None:
    [webhook] = await delivered(api, hook, 1)
    at = path.format(project="p1", hook=hook, webhook=webhook)
    for key in (None, "", "wrong", ADMIN_KEY + "x", api.key):
        answer = await operate(api, method, at, key, **(EVERYTHING if path.endswith("hook}/replay") else {}))
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    with_a_projects = await api.call(method, f"/admin/webhooks{at}")
    assert with_a_projects.status_code == 401
    assert (acts(api), len(receiver.received)) == ([], 1)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_what_is_not_there_and_what_is_anothers_look_the_same(
    api: Api, hook: str, method: str, path: str
) -> None:
    [webhook] = await delivered(api, hook, 1)
    projects = ["nobodys"] if path == "/{project}" else ["nobodys", "p2"]
    for project in projects:
        at = path.format(project=project, hook=hook, webhook=webhook)
        answer = await operate(api, method, at, **(EVERYTHING if path.endswith("hook}/replay") else {}))
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), project
    assert acts(api) == []


async def test_endpoints_are_listed_without_secrets_and_without_their_whole_addresses(
    api: Api, hook: str, receiver: Receiver
) -> None:
    answer = await operate(api, "GET", "/p1")
    [found] = answer.json()
    assert (found["id"], found["state"], found["receiver"]) == (hook, "healthy", f"http://127.0.0.1:{receiver.port}")
    assert "the-receivers" not in answer.text
    assert "secret" not in answer.text
    assert (await operate(api, "GET", "/p2")).json() == []


async def test_the_log_is_read_by_state_and_page_by_page(api: Api, hook: str) -> None:
    newest, oldest = await delivered(api, hook, 1, 2)
    page = (await operate(api, "GET", f"/p1/{hook}/deliveries?state=delivered&limit=1")).json()
    assert [one["webhook_id"] for one in page["items"]] == [newest]
    page = (await operate(api, "GET", f"/p1/{hook}/deliveries?limit=1&cursor={page['next_cursor']}")).json()
    assert [one["webhook_id"] for one in page["items"]] == [oldest]
    assert (await operate(api, "GET", f"/p1/{hook}/deliveries?state=failed")).json()["items"] == []
    one = (await operate(api, "GET", f"/p1/{hook}/deliveries/{oldest}")).json()
    assert (one["state"], one["last_status"]) == ("delivered", 204)
    assert "body" not in one


async def test_one_is_sent_again_and_the_audit_says_who_has_done_it(api: Api, hook: str, receiver: Receiver) -> None:
    [webhook] = await delivered(api, hook, 1)
    answer = await operate(api, "POST", f"/p1/{hook}/deliveries/{webhook}/replay")
    assert (answer.status_code, answer.json()["webhook_id"]) == (202, webhook)
    await until(lambda: len(receiver.received) == 2)
    assert [headers["webhook-id"] for headers, _ in receiver.received] == [webhook] * 2
    [action] = await audit(api)
    assert (action["action"], action["target"]) == ("webhook.replay", f"p1/{hook}/{webhook}")
    assert (action["before"], action["after"]) == (
        {"state": "delivered", "tries": 1},
        {"state": "waiting", "tries": 0},
    )
    assert (action["operator"], action["address"]) == ("ada", "127.0.0.1")
    assert action["correlation_id"] == answer.headers["X-Correlation-ID"]


class TestInBulk:
    async def test_a_dry_run_says_how_many_and_does_nothing(self, api: Api, hook: str, receiver: Receiver) -> None:
        await delivered(api, hook, 1, 2)
        wanted = {name: value for name, value in EVERYTHING.items() if name != "dry_run"}
        report = (await operate(api, "POST", f"/p1/{hook}/replay", **wanted)).json()
        assert report == {"dry_run": True, "matched": 2, "by_state": {"delivered": 2}, "replayed": 0}
        assert (acts(api), await audit(api)) == ([], [])
        assert [one["state"] for one in await api.log(hook)] == ["delivered"] * 2
        assert len(receiver.received) == 2

    async def test_by_time_and_state(self, api: Api, hook: str, receiver: Receiver) -> None:
        _, second, _ = await delivered(api, hook, 1, 2, 3)
        since, before = NOON + timedelta(seconds=30), NOON + timedelta(seconds=90)
        wanted: dict[str, Any] = {"since": since.isoformat(), "until": before.isoformat(), "dry_run": False}
        nothing_failed = (await operate(api, "POST", f"/p1/{hook}/replay", **wanted)).json()
        assert (nothing_failed["matched"], acts(api)) == (0, [])
        report = (await operate(api, "POST", f"/p1/{hook}/replay", **wanted, states=["delivered"])).json()
        assert (report["dry_run"], report["matched"], report["replayed"]) == (False, 1, 1)
        await until(lambda: len(receiver.received) == 4)
        assert receiver.received[-1][0]["webhook-id"] == second
        [action] = await audit(api)
        assert (action["action"], action["target"]) == ("webhooks.replay", f"p1/{hook}")
        assert (action["before"]["delivered"], action["after"]["delivered"], action["after"]["waiting"]) == (1, 0, 1)
        assert action["after"]["since"] == since.isoformat()

    @pytest.mark.parametrize(
        "change",
        [
            {"since": None},
            {"since": "yesterday"},
            {"since": 5},
            {"states": []},
            {"states": ["waiting"]},
            {"dry_run": "no"},
            {"until": (NOON - timedelta(days=2)).isoformat()},
            {"project_id": "p2"},
        ],
    )
    async def test_what_makes_no_sense_is_refused(self, api: Api, hook: str, change: dict[str, Any]) -> None:
        answer = await operate(api, "POST", f"/p1/{hook}/replay", **{**EVERYTHING, **change})
        assert (answer.status_code, acts(api)) == (422, [])


class TestEnabling:
    @pytest.fixture
    async def gone(self, api: Api, hook: str, receiver: Receiver) -> str:
        receiver.answers = [GONE]
        await api.tell_of(1)
        await api.states(hook, "failed")
        return hook

    async def test_what_is_disabled_is_sent_nothing_until_it_is_enabled(
        self, api: Api, gone: str, receiver: Receiver
    ) -> None:
        [webhook] = [one["webhook_id"] for one in await api.log(gone)]
        for path, body in (("/replay", EVERYTHING), (f"/deliveries/{webhook}/replay", {})):
            refused = await operate(api, "POST", f"/p1/{gone}{path}", **body)
            assert (refused.status_code, refused.json()["code"]) == (409, "endpoint-disabled")
        assert acts(api) == []
        enabled = await operate(api, "POST", f"/p1/{gone}/enable")
        assert (enabled.status_code, enabled.json()["state"]) == (200, "healthy")
        assert (await operate(api, "POST", f"/p1/{gone}/replay", **EVERYTHING)).json()["replayed"] == 1
        await until(lambda: len(receiver.received) == 2)
        _, action = await audit(api)
        assert (action["action"], action["target"]) == ("webhooks.enable", f"p1/{gone}")
        assert action["before"] == {"state": "disabled", "disabled_because": "the receiver answered 410 Gone"}
        assert action["after"] == {"state": "healthy", "disabled_because": None}

    async def test_what_is_on_stays_so_and_nothing_is_said(self, api: Api, hook: str) -> None:
        assert (await operate(api, "POST", f"/p1/{hook}/enable")).json()["state"] == "healthy"
        assert acts(api) == []


async def test_while_nothing_can_be_said_nothing_is_done(
    api: Api, hook: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    [webhook] = await delivered(api, hook, 1)

    async def away(_message: Message) -> None:
        raise DependencyUnavailable("the broker does not answer")

    monkeypatch.setattr(api.world.bus, "publish", away)
    for path, body in (("/replay", EVERYTHING), (f"/deliveries/{webhook}/replay", {})):
        answer = await operate(api, "POST", f"/p1/{hook}{path}", **body)
        assert (answer.status_code, answer.json()["retryable"]) == (503, True)
    receiver.answers = [GONE]
    await api.tell_of(2)
    await api.states(hook, "delivered", "failed")
    assert (await operate(api, "POST", f"/p1/{hook}/enable")).status_code == 503
    assert (await api.endpoint(hook))["state"] == "disabled"
    assert [one["state"] for one in await api.log(hook) if one["webhook_id"] == webhook] == ["delivered"]
    assert (len(receiver.received), await audit(api)) == (2, [])


async def test_it_is_said_before_it_is_done(
    api: Api, hook: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who dies in between has left word of it, and it can be done again."""
    [webhook] = await delivered(api, hook, 1)

    async def dies(*_given: object) -> None:
        raise RuntimeError("died")

    monkeypatch.setattr("notification.adapters.deliveries.SqlDeliveries.replay", dies)
    assert (await operate(api, "POST", f"/p1/{hook}/deliveries/{webhook}/replay")).status_code == 500
    assert [action["target"] for action in await audit(api)] == [f"p1/{hook}/{webhook}"]
    monkeypatch.undo()
    assert (await operate(api, "POST", f"/p1/{hook}/deliveries/{webhook}/replay")).status_code == 202
    await until(lambda: len(receiver.received) == 2)
    assert len(await audit(api)) == 2


async def test_what_is_heard_twice_is_kept_once(api: Api) -> None:
    for _ in range(2):
        assert await api.running.deliver(operator_acted(an_act(), "notification")) == "SUCCESS"
    assert await api.running.deliver(operator_acted(an_act(target="p1/endpoint-2"), "notification")) == "SUCCESS"
    assert [action["target"] for action in await audit(api)] == ["p1/endpoint-2", "p1/endpoint-1/msg_1"]


@pytest.mark.parametrize(
    "lie",
    [
        {"action": "project.suspend"},
        {"action": "key.create"},
        {"action": "webhooks"},
        {"operator": "a\nb"},
        {"operator": "x" * 101},
        {"target": "x" * 256},
        {"target": "a\x00b"},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"at": 5},
    ],
)
async def test_no_other_entry_is_written_by_an_event(api: Api, lie: dict[str, Any]) -> None:
    message = operator_acted(an_act(), "notification")
    forged = message.event.model_copy(update={"data": message.event.data | lie})
    body = json.dumps(forged.model_dump(mode="json", exclude_none=True)).encode()
    assert await api.running.deliver_raw("events", OPERATOR_ACTIONS.name, body) == "SUCCESS"
    assert (await api.running.http.get("/api/v1/admin/audit", headers={"X-Admin-Key": ADMIN_KEY})).json() == []
    assert api.world.bus.types[-1] == "event.dead-lettered.v1"


async def test_a_letter_is_no_way_into_the_audit(api: Api) -> None:
    """Every service may write dead letters, and an operator may say them again."""
    forged = operator_acted(an_act(), "notification").event.model_dump_json()
    letter = dead_letter("gpu-worker-image", OPERATOR_ACTIONS.name, "?", forged.encode(), NOON)
    assert await api.running.deliver(letter) == "SUCCESS"
    answer = await api.running.http.post(
        f"/api/v1/admin/dead-letters/{letter.event.id}/redrive", headers={"X-Admin-Key": ADMIN_KEY}, json={}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "cannot-redrive")
    assert await audit(api) == []
