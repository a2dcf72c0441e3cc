"""Webhook endpoints over their life: secrets, changes, the log, replays, failures, pings."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest
from contracts.testing.examples import NOON
from notification.domain.health import PAUSE_AFTER, PING_EVERY
from notification.domain.secrets import MOST_SECRETS
from standardwebhooks import Webhook

from tests.conftest import Serve, World, until
from tests.contract.notifying import Api, Receiver, notifying, receiving

FAILS = b"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n"
TAKES = Receiver.otherwise
DAY = 86400


@pytest.fixture
async def api(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Api]:
    async with notifying(world, serve, database_url("notification")) as found:
        yield found


@pytest.fixture
async def hook(api: Api, receiver: Receiver) -> str:
    """The id of an endpoint at the receiver."""
    return str((await api.register(receiver.url))["endpoint"]["id"])


def signed_by(secret: str, headers: dict[str, str], body: bytes) -> bool:
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), NOON.tzinfo)
    signature = Webhook(secret).sign(headers["webhook-id"], at, body.decode())
    return signature in headers["webhook-signature"].split(" ")


class TestSecrets:
    async def test_for_a_while_every_delivery_is_signed_by_the_old_and_the_new(
        self, api: Api, receiver: Receiver
    ) -> None:
        made = await api.register(receiver.url)
        hook, old = made["endpoint"]["id"], made["secret"]
        answer = await api.call("POST", f"/webhooks/{hook}/secrets", json={})
        assert answer.status_code == 201
        new = answer.json()["secret"]
        shown = (await api.endpoint(hook))["secrets"]
        assert [one["id"] for one in shown] == [answer.json()["id"], made["endpoint"]["secrets"][0]["id"]]
        assert shown[0]["expires_at"] is None
        assert datetime.fromisoformat(shown[1]["expires_at"]) == NOON + timedelta(days=1)

        await api.tell_of(1)
        await api.states(hook, "delivered")
        assert [signed_by(secret, *receiver.received[0]) for secret in (new, old)] == [True, True]

        api.world.clock.advance(seconds=DAY)
        await api.tell_of(2)
        await until(lambda: len(receiver.received) == 2)
        assert [signed_by(secret, *receiver.received[1]) for secret in (new, old)] == [True, False]
        assert len((await api.endpoint(hook))["secrets"]) == 1

    async def test_without_grace_the_old_one_is_over_at_once(self, api: Api, receiver: Receiver) -> None:
        made = await api.register(receiver.url)
        hook = made["endpoint"]["id"]
        new = (await api.call("POST", f"/webhooks/{hook}/secrets", json={"grace_seconds": 0})).json()["secret"]
        assert (await api.call("POST", f"/webhooks/{hook}/ping")).json()["accepted"] is True
        assert [signed_by(secret, *receiver.received[0]) for secret in (new, made["secret"])] == [True, False]

    async def test_only_so_many_are_valid_at_once(self, api: Api, hook: str) -> None:
        for _ in range(MOST_SECRETS - 1):
            assert (await api.call("POST", f"/webhooks/{hook}/secrets", json={})).status_code == 201
        refused = await api.call("POST", f"/webhooks/{hook}/secrets", json={})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")
        assert (await api.call("POST", f"/webhooks/{hook}/secrets", json={"grace_seconds": 0})).status_code == 201
        assert len((await api.endpoint(hook))["secrets"]) == 1

    async def test_no_text_of_a_secret_is_ever_shown_again(self, api: Api, receiver: Receiver) -> None:
        made = await api.register(receiver.url)
        new = (await api.call("POST", f"/webhooks/{made['endpoint']['id']}/secrets", json={})).json()["secret"]
        shown = (await api.call("GET", "/webhooks")).text
        assert made["secret"] not in shown
        assert new not in shown
        assert "locked" not in shown

    @pytest.mark.parametrize("grace", [-1, 31 * DAY, "soon", 1.5])
    async def test_a_grace_time_has_bounds(self, api: Api, hook: str, grace: object) -> None:
        answer = await api.call("POST", f"/webhooks/{hook}/secrets", json={"grace_seconds": grace})
        assert answer.status_code == 422


class TestChanges:
    async def test_address_and_events_can_be_changed(self, api: Api, hook: str, receiver: Receiver) -> None:
        async with receiving() as other:
            answer = await api.call("PATCH", f"/webhooks/{hook}", json={"url": other.url, "events": ["task.*"]})
            assert (answer.json()["url"], answer.json()["events"]) == (other.url, ["task.*"])
            await api.tell_of(1)
            await until(lambda: len(other.received) == 1)
        assert receiver.received == []

    async def test_a_new_address_is_checked_like_the_first(self, api: Api, hook: str, receiver: Receiver) -> None:
        answer = await api.call("PATCH", f"/webhooks/{hook}", json={"url": "http://169.254.169.254/"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "url")
        assert (await api.endpoint(hook))["url"] == receiver.url

    async def test_what_is_left_out_stays(self, api: Api, hook: str, receiver: Receiver) -> None:
        before = await api.endpoint(hook)
        assert (await api.call("PATCH", f"/webhooks/{hook}", json={})).json() == before

    @pytest.mark.parametrize("change", [{"events": []}, {"enabled": "yes"}, {"secret": "x"}, {"url": ""}])
    async def test_what_does_not_fit_is_refused(self, api: Api, hook: str, change: dict[str, object]) -> None:
        assert (await api.call("PATCH", f"/webhooks/{hook}", json=change)).status_code == 422


class TestLog:
    async def test_it_is_read_page_by_page(self, api: Api, hook: str) -> None:
        for number in range(5):
            api.world.clock.advance(seconds=1)
            await api.tell_of(number)
        await api.states(hook, *["delivered"] * 5)
        seen, query = [], "limit=2"
        while query:
            page = (await api.call("GET", f"/webhooks/{hook}/deliveries?{query}")).json()
            seen += [one["webhook_id"] for one in page["items"]]
            query = f"limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        assert seen == [one["webhook_id"] for one in await api.log(hook)]
        assert len(set(seen)) == 5

    async def test_it_is_filtered_by_state(self, api: Api, hook: str, receiver: Receiver) -> None:
        await api.tell_of(1)
        await api.states(hook, "delivered")
        receiver.otherwise = FAILS
        await api.tell_of(2)
        await until(lambda: len(receiver.received) == 2)
        for state, count in (("delivered", 1), ("waiting", 1), ("failed", 0)):
            page = (await api.call("GET", f"/webhooks/{hook}/deliveries?state={state}")).json()
            assert [one["state"] for one in page["items"]] == [state] * count

    @pytest.mark.parametrize(
        "cursor", ["x", "%00", "W10=", "WyJ4Iiwid2giXQ==", "bnVsbA==", "WyIyMDI2LTAxLTAxIiwgInciXQ=="]
    )
    async def test_a_made_up_cursor_is_refused(self, api: Api, hook: str, cursor: str) -> None:
        answer = await api.call("GET", f"/webhooks/{hook}/deliveries?cursor={cursor}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")

    async def test_one_delivery_shows_its_body_and_what_the_tries_were_answered(
        self, api: Api, hook: str, receiver: Receiver
    ) -> None:
        receiver.answers = [FAILS]
        await api.tell_of(1)
        found = await api.tried(hook, 1)
        api.world.clock.advance(seconds=6)
        await api.ring()
        await api.states(hook, "delivered")
        whole = (await api.call("GET", f"/webhooks/{hook}/deliveries/{found['webhook_id']}")).json()
        assert whole["body"].encode() == receiver.received[0][1]
        assert [(one["status"], one["detail"]) for one in whole["answers"]] == [(500, "Oops"), (204, "No Content")]
        assert all(one["milliseconds"] >= 0 for one in whole["answers"])
        assert (await api.call("GET", f"/webhooks/{hook}/deliveries/msg_none")).status_code == 404

    async def test_what_ended_long_ago_is_forgotten(self, api: Api, hook: str, receiver: Receiver) -> None:
        await api.tell_of(1)
        await api.states(hook, "delivered")
        receiver.otherwise = FAILS
        await api.tell_of(2)
        await until(lambda: len(receiver.received) == 2)
        api.world.clock.advance(seconds=31 * DAY)
        await api.ring("prune")
        assert [one["state"] for one in await api.log(hook)] == ["waiting"]


class TestReplay:
    async def test_one_goes_out_again_under_its_id_with_a_fresh_signature(self, api: Api, receiver: Receiver) -> None:
        made = await api.register(receiver.url)
        hook = made["endpoint"]["id"]
        await api.tell_of(1)
        await api.states(hook, "delivered")
        api.world.clock.advance(seconds=3600)
        webhook_id = (await api.log(hook))[0]["webhook_id"]
        answer = await api.call("POST", f"/webhooks/{hook}/deliveries/{webhook_id}/replay")
        assert answer.status_code == 202
        await until(lambda: len(receiver.received) == 2)
        (first, body), (second, again) = receiver.received
        assert (first["webhook-id"], body) == (second["webhook-id"], again)
        assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 3600
        assert signed_by(made["secret"], second, again)

    async def test_all_of_a_while_go_out_again_and_are_counted(self, api: Api, hook: str, receiver: Receiver) -> None:
        for number in range(4):
            await api.tell_of(number)
            await api.states(hook, *["delivered"] * (number + 1))
            api.world.clock.advance(seconds=60)
        wanted = {
            "since": (NOON + timedelta(seconds=60)).isoformat(),
            "until": (NOON + timedelta(seconds=180)).isoformat(),
            "states": ["delivered"],
        }
        answer = await api.call("POST", f"/webhooks/{hook}/replay", json=wanted)
        assert (answer.status_code, answer.json()) == (202, {"replayed": 2})
        await until(lambda: len(receiver.received) == 6)
        ids = [headers["webhook-id"] for headers, _ in receiver.received]
        assert sorted(ids[4:]) == sorted(ids[1:3])
        failed = await api.call("POST", f"/webhooks/{hook}/replay", json={"since": NOON.isoformat()})
        assert failed.json() == {"replayed": 0}

    async def test_a_disabled_endpoint_is_sent_nothing_again(self, api: Api, hook: str) -> None:
        await api.tell_of(1)
        await api.states(hook, "delivered")
        await api.call("PATCH", f"/webhooks/{hook}", json={"enabled": False})
        webhook_id = (await api.log(hook))[0]["webhook_id"]
        for path, body in (
            (f"/webhooks/{hook}/deliveries/{webhook_id}/replay", None),
            (f"/webhooks/{hook}/replay", {"since": NOON.isoformat(), "states": ["delivered"]}),
        ):
            refused = await api.call("POST", path, json=body)
            assert (refused.status_code, refused.json()["code"]) == (409, "endpoint-disabled")
            assert "switched off by the project" in refused.json()["detail"]

    @pytest.mark.parametrize(
        "wanted",
        [
            {},
            {"since": "yesterday"},
            {"since": "2026-01-01T00:00:00"},
            {"since": "0001-01-01T00:00:00+23:00"},
            {"since": 1767225600},
            {"since": "1767225600"},
            {"since": "2026-01-01T00:00:00Z", "until": 1767312000.5},
            {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
            {"since": "2999-01-01T00:00:00Z"},
            {"since": "2026-01-01T00:00:00Z", "states": []},
            {"since": "2026-01-01T00:00:00Z", "states": ["waiting"]},
        ],
    )
    async def test_what_does_not_fit_is_refused(self, api: Api, hook: str, wanted: dict[str, object]) -> None:
        assert (await api.call("POST", f"/webhooks/{hook}/replay", json=wanted)).status_code == 422


class TestFailures:
    async def test_whoever_only_fails_is_probed_and_told_everything_when_it_is_back(
        self, api: Api, hook: str, receiver: Receiver
    ) -> None:
        receiver.otherwise = FAILS
        await api.tell_of(*range(20))
        paused = await api.rests(hook, receiver)
        assert (paused["state"], paused["enabled"]) == ("failing", True)
        assert datetime.fromisoformat(paused["failing_since"]) == NOON
        tries = len(receiver.received)
        assert PAUSE_AFTER <= tries < 3 * PAUSE_AFTER
        api.world.clock.advance(seconds=40)
        await api.ring()
        probed = await api.probe(hook, receiver)
        assert len(receiver.received) == tries + 1, "one for all"
        assert probed["next_probe"] > paused["next_probe"]

        receiver.otherwise = TAKES
        api.world.clock.advance(seconds=60)
        await api.ring("probe")
        await api.states(hook, *["delivered"] * 20)
        back = await api.endpoint(hook)
        assert (back["state"], back["failing_since"], back["next_probe"]) == ("healthy", None, None)

    async def test_whoever_asks_for_peace_is_left_in_peace(self, api: Api, hook: str, receiver: Receiver) -> None:
        receiver.answers = [b"HTTP/1.1 429 Slowly\r\nRetry-After: 600\r\nConnection: close\r\n\r\n"]
        await api.tell_of(1)
        assert (await api.rests(hook, receiver))["next_probe"] == "2026-01-01T12:10:00Z"
        await api.tell_of(2)
        api.world.clock.advance(seconds=599)
        for alarm in ("retry", "probe"):
            await api.ring(alarm)
        assert len(receiver.received) == 1
        api.world.clock.advance(seconds=1)
        await api.ring("probe")
        await api.states(hook, "delivered", "delivered")

    async def test_days_of_failures_disable_it_until_a_ping_is_accepted(
        self, api: Api, hook: str, receiver: Receiver
    ) -> None:
        receiver.otherwise = FAILS
        await api.tell_of(*range(12))
        found = await api.rests(hook, receiver)
        for _ in range(11):
            assert found["state"] == "failing"
            api.world.clock.advance(seconds=DAY / 2)
            found = await api.probe(hook, receiver)
            if not found["enabled"]:
                break
        assert found["state"] == "disabled"
        assert "nothing was accepted in" in found["disabled_because"]
        assert "500 Oops" in found["disabled_because"]
        await api.tell_of(99)
        waiting = await api.log(hook)
        assert [one["state"] for one in waiting] == ["waiting"] * 13, "what happens meanwhile waits too"

        receiver.received.clear()
        receiver.otherwise = TAKES
        api.world.clock.advance(seconds=PING_EVERY.total_seconds() * 1.1)
        await api.ring("probe")
        await api.states(hook, *["delivered"] * 13)
        assert b'"webhook.ping.v1"' in receiver.received[0][1]
        assert (await api.endpoint(hook))["state"] == "healthy"

    async def test_switched_on_by_hand_it_is_told_what_waited(self, api: Api, hook: str, receiver: Receiver) -> None:
        receiver.otherwise = FAILS
        await api.tell_of(1)
        await api.tried(hook, 1)
        await api.call("PATCH", f"/webhooks/{hook}", json={"enabled": False})
        receiver.otherwise = TAKES
        await api.call("PATCH", f"/webhooks/{hook}", json={"enabled": True})
        api.world.clock.advance(seconds=1)
        await api.ring()
        await api.states(hook, "waiting")
        api.world.clock.advance(seconds=6)
        await api.ring()
        await api.states(hook, "delivered")


class TestPing:
    async def test_it_answers_with_what_came_back(self, api: Api, hook: str, receiver: Receiver) -> None:
        receiver.answers = [FAILS]
        answer = await api.call("POST", f"/webhooks/{hook}/ping")
        assert answer.status_code == 200
        found = answer.json()
        assert (found["accepted"], found["status"], found["detail"]) == (False, 500, "Oops")
        [(headers, body)] = receiver.received
        assert b'"type":"webhook.ping.v1"' in body
        assert headers["webhook-id"].startswith("msg_")

    async def test_a_receiver_that_is_away_is_said_to_be(self, api: Api, receiver: Receiver) -> None:
        made = await api.register("http://127.0.0.1:9/")
        found = (await api.call("POST", f"/webhooks/{made['endpoint']['id']}/ping")).json()
        assert (found["accepted"], found["status"]) == (False, None)
        assert found["detail"]

    async def test_it_works_for_a_disabled_endpoint_and_leaves_it_so(self, api: Api, hook: str) -> None:
        await api.call("PATCH", f"/webhooks/{hook}", json={"enabled": False})
        assert (await api.call("POST", f"/webhooks/{hook}/ping")).json()["accepted"] is True
        assert (await api.endpoint(hook))["state"] == "disabled"

    async def test_it_is_not_sent_as_often_as_somebody_likes(self, api: Api, hook: str, receiver: Receiver) -> None:
        await api.call("POST", f"/webhooks/{hook}/ping")
        refused = await api.call("POST", f"/webhooks/{hook}/ping")
        assert (refused.status_code, refused.json()["code"]) == (429, "limit-reached")
        assert refused.json()["detail"] == "one ping in 10 s"
        assert refused.headers["Retry-After"] == "10"
        assert len(receiver.received) == 1
        api.world.clock.advance(seconds=10)
        assert (await api.call("POST", f"/webhooks/{hook}/ping")).status_code == 200


async def test_every_path_is_closed_to_another_project(api: Api, hook: str) -> None:
    await api.tell_of(1)
    await api.states(hook, "delivered")
    webhook_id = (await api.log(hook))[0]["webhook_id"]
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"events": ["*"]}),
        ("POST", "/secrets", {}),
        ("POST", "/ping", None),
        ("GET", "/deliveries", None),
        ("GET", f"/deliveries/{webhook_id}", None),
        ("POST", f"/deliveries/{webhook_id}/replay", None),
        ("POST", "/replay", {"since": NOON.isoformat()}),
    ):
        answer = await api.call(method, f"/webhooks/{hook}{path}", key=api.stranger, json=body)
        assert answer.status_code == 404, f"{method} {path}"
