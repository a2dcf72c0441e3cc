"""Webhooks and the live feed, from the point of view of who asks for them."""

import json
from collections.abc import AsyncIterator, Callable

import pytest
from contracts.events import FeedGrew, Message, TaskRejected, parse, task_rejected
from contracts.identifiers import task_id_for
from contracts.records import TaskRecords
from contracts.tasks import Phase
from contracts.testing.examples import NOON, a_problem, a_task, a_task_in
from contracts.topics import TASK_UPDATES
from notification.handlers.registering import MOST_ENDPOINTS
from standardwebhooks import Webhook

from tests.conftest import Serve, World, settle, until
from tests.contract.notifying import Api, Receiver, notifying, receiving


@pytest.fixture
def webhook_timeout() -> str:
    return "0.3"


@pytest.fixture
async def api(
    world: World, serve: Serve, database_url: Callable[[str], str], webhook_timeout: str
) -> AsyncIterator[Api]:
    async with notifying(world, serve, database_url("notification"), webhook_timeout=webhook_timeout) as found:
        yield found


class TestWebhooks:
    async def test_an_end_is_told_signed(self, api: Api, receiver: Receiver) -> None:
        made = await api.register(receiver.url)
        done = a_task_in(Phase.DONE)
        await api.tell(a_task_in(Phase.GENERATING))
        await api.tell(done)
        await until(lambda: len(receiver.received) == 1)
        [(headers, body)] = receiver.received
        # The receiver's own clock is the real one; the signature is what is looked at here.
        stamp = int(headers["webhook-timestamp"])
        signed = Webhook(made["secret"]).sign(headers["webhook-id"], NOON, body.decode())
        assert (headers["webhook-signature"], stamp) == (signed, int(NOON.timestamp()))
        told = json.loads(body)
        assert (told["type"], told["data"]["id"], told["data"]["seq"]) == ("task.done.v1", done.id, done.seq)
        assert "request_digest" not in told["data"]
        assert "key" not in told["data"]["result"]

    async def test_the_same_end_is_told_once_however_often_it_is_heard(self, api: Api, receiver: Receiver) -> None:
        made = await api.register(receiver.url)
        for _ in range(3):
            await api.tell(a_task_in(Phase.DONE))
        await api.tried(made["endpoint"]["id"], 1)
        assert len(await api.log(made["endpoint"]["id"])) == 1
        assert len(receiver.received) == 1

    async def test_a_rejection_is_told_too(self, api: Api, receiver: Receiver) -> None:
        await api.register(receiver.url)
        rejected = TaskRejected(request_id="r", project_id="p1", client_ref="1", problem=a_problem(False))
        await api.running.deliver(task_rejected(rejected, "submission", NOON))
        await until(lambda: len(receiver.received) == 1)
        assert json.loads(receiver.received[0][1])["data"]["problem"]["code"] == "engine-crashed"

    async def test_an_endpoint_hears_what_it_asked_for(self, api: Api, receiver: Receiver) -> None:
        await api.register(receiver.url, events=["task.processing.v1"])
        await api.tell(a_task_in(Phase.GENERATING))
        await api.tell(a_task_in(Phase.DONE))
        await until(lambda: len(receiver.received) == 1)
        assert json.loads(receiver.received[0][1])["type"] == "task.processing.v1"

    async def test_a_failure_is_repeated_on_schedule_under_the_same_id(self, api: Api, receiver: Receiver) -> None:
        receiver.answers = [b"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n"]
        made = await api.register(receiver.url)
        await api.tell(a_task_in(Phase.DONE))
        first = await api.tried(made["endpoint"]["id"], 1)
        assert (first["state"], first["last_status"], first["last_detail"]) == ("waiting", 500, "Oops")
        await api.ring()
        assert len(receiver.received) == 1, "not before its time"
        api.world.clock.advance(seconds=6)
        await api.ring()
        second = await api.tried(made["endpoint"]["id"], 2)
        assert second["state"] == "delivered"
        ids = [headers["webhook-id"] for headers, _ in receiver.received]
        assert ids[0] == ids[1]
        assert receiver.received[0][1] == receiver.received[1][1]

    async def test_gone_switches_the_endpoint_off_until_it_is_switched_on(self, api: Api, receiver: Receiver) -> None:
        receiver.answers = [b"HTTP/1.1 410 Gone\r\nConnection: close\r\n\r\n"]
        made = await api.register(receiver.url)
        endpoint_id = made["endpoint"]["id"]
        await api.tell(a_task_in(Phase.DONE))
        assert (await api.tried(endpoint_id, 1))["state"] == "failed"
        [endpoint] = (await api.call("GET", "/webhooks")).json()
        assert (endpoint["enabled"], "410" in endpoint["disabled_because"]) == (False, True)
        await api.tell(a_task_in(Phase.DONE, project_id="p1", id=a_task(project_id="x").id))
        assert len(await api.log(endpoint_id)) == 1
        on = await api.call("PATCH", f"/webhooks/{endpoint_id}", json={"enabled": True})
        assert (on.json()["enabled"], on.json()["disabled_because"]) == (True, None)

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nConnection: close\r\n\r\n",
            b"this is not HTTP",
            b"",
            b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n",
        ],
    )
    async def test_whatever_is_no_acceptance_is_tried_again(self, api: Api, receiver: Receiver, answer: bytes) -> None:
        receiver.answers = [answer]
        made = await api.register(receiver.url)
        await api.tell(a_task_in(Phase.DONE))
        assert (await api.tried(made["endpoint"]["id"], 1))["state"] == "waiting"

    async def test_a_receiver_that_never_answers_is_given_up_and_holds_nobody_up(
        self, api: Api, receiver: Receiver
    ) -> None:
        receiver.hang = True
        made = await api.register(receiver.url)
        async with receiving() as quick:
            await api.register(quick.url)
            for number in range(30):
                await api.tell(a_task_in(Phase.DONE, id=a_task(project_id=str(number)).id))
            await until(lambda: len(quick.received) == 30)
        assert len(receiver.received) < 30
        hung = await api.tried(made["endpoint"]["id"], 0)
        assert hung["state"] == "waiting"

    @pytest.mark.parametrize("webhook_timeout", ["60"])
    async def test_a_project_with_many_receivers_that_hang_holds_no_other_up(
        self, api: Api, receiver: Receiver
    ) -> None:
        receiver.hang = True
        for _ in range(MOST_ENDPOINTS):
            await api.register(receiver.url)
        async with receiving() as quick:
            await api.call("POST", "/webhooks", key=api.stranger, json={"url": quick.url})
            for number in range(4):
                await api.tell(a_task_in(Phase.DONE, id=task_id_for("p1", str(number))))
            await until(lambda: len(receiver.received) > 4)
            await api.tell(a_task_in(Phase.DONE, project_id="p2", id=task_id_for("p2", "x")))
            await until(lambda: len(quick.received) == 1)

    async def test_a_project_has_only_so_many_endpoints(self, api: Api, receiver: Receiver) -> None:
        for _ in range(MOST_ENDPOINTS):
            await api.register(receiver.url)
        refused = await api.call("POST", "/webhooks", json={"url": receiver.url})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")
        assert (await api.call("POST", "/webhooks", key=api.stranger, json={"url": receiver.url})).status_code == 201

    async def test_an_answer_without_end_is_not_read_to_its_end(self, api: Api, receiver: Receiver) -> None:
        receiver.answers = [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000]
        made = await api.register(receiver.url)
        await api.tell(a_task_in(Phase.DONE))
        assert (await api.tried(made["endpoint"]["id"], 1))["state"] == "delivered"

    async def test_secrets_are_shown_once_and_kept_encrypted(self, api: Api, receiver: Receiver) -> None:
        made = await api.register(receiver.url)
        assert made["secret"].startswith("whsec_")
        assert made["secret"] not in (await api.call("GET", "/webhooks")).text

    async def test_endpoints_belong_to_their_project(self, api: Api, receiver: Receiver) -> None:
        endpoint_id = (await api.register(receiver.url))["endpoint"]["id"]
        assert (await api.call("GET", "/webhooks", key=api.stranger)).json() == []
        for method, path, body in (
            ("PATCH", f"/webhooks/{endpoint_id}", {"enabled": False}),
            ("DELETE", f"/webhooks/{endpoint_id}", None),
            ("GET", f"/webhooks/{endpoint_id}/deliveries", None),
        ):
            assert (await api.call(method, path, key=api.stranger, json=body)).status_code == 404
        await api.tell(a_task_in(Phase.DONE, project_id="p2"))
        assert await api.log(endpoint_id) == []
        assert (await api.call("DELETE", f"/webhooks/{endpoint_id}")).status_code == 204

    @pytest.mark.parametrize(
        "url",
        [
            "http://169.254.169.254/latest/meta-data",
            "https://169.254.169.254/",
            "http://10.0.0.1/",
            "https://192.168.1.1/",
            "https://[fd00::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://0.0.0.0/",
            "https://224.0.0.1/",
            "http://8.8.8.8/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "https://user:secret@127.0.0.1/",
            "https://",
            "not an address",
            "https://nosuchhost.invalid/",
            "http://2130706433.example.invalid/",
        ],
    )
    async def test_addresses_that_webhooks_may_not_go_to(self, api: Api, url: str) -> None:
        answer = await api.call("POST", "/webhooks", json={"url": url})
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"] == "url"


class TestLive:
    """At the handlers; streams over real connections are tested with the whole platform."""

    @pytest.mark.parametrize("path", ["/live/tasks/{task}", "/live/projects/p1"])
    async def test_another_projects_life_looks_like_none(self, api: Api, path: str) -> None:
        task = a_task()
        await TaskRecords(api.world.state, api.world.clock).create(task)
        answer = await api.call("GET", path.format(task=task.id), key=api.stranger)
        assert answer.status_code == 404

    @pytest.mark.parametrize("position", ["x", "-1", "1.5", "9" * 19, "١"])
    async def test_a_made_up_position_is_refused(self, api: Api, position: str) -> None:
        headers = {b"X-API-Key": api.key.encode(), b"Last-Event-ID": position.encode()}
        answer = await api.running.http.get("/api/v1/live/projects/p1", headers=headers)
        assert answer.status_code == 422

    async def test_every_replica_hears_once_that_the_feed_has_grown(self, api: Api) -> None:
        for _ in range(2):
            await api.tell(a_task_in(Phase.DONE))
        await until(lambda: bool(self._broadcast(api)))
        await settle(api.world)
        [message] = self._broadcast(api)
        grew = parse(message.event)
        assert grew == FeedGrew(position=1)

    def _broadcast(self, api: Api) -> list[Message]:
        return [message for message in api.world.bus.messages if message.topic == TASK_UPDATES]
