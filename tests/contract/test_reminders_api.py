"""Reminders as they are asked for, and as they are told."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from contracts.events import Message, TaskReminder, task_reminder
from contracts.records import TaskRecords
from contracts.testing.examples import NOON, a_task
from standardwebhooks import Webhook

from tests.conftest import Serve, World, settle, until
from tests.contract.conftest import Api
from tests.contract.live_server import LiveServer, live_server
from tests.contract.notifying import Api as Notifying
from tests.contract.notifying import Receiver, notifying

DUE = "2026-01-02T00:00:00Z"
TASK = a_task(title="Shot 1", client_ref="s1", tags=("hero",))


def said(late_seconds: float | None = None) -> Message:
    reminder = TaskReminder.of(TASK, NOON, "call the studio")
    return task_reminder(reminder.model_copy(update={"late_seconds": late_seconds}), TASK, "scheduling", NOON)


class TestAsking:
    async def test_a_task_shows_when_it_will_be_reminded_of(self, api: Api) -> None:
        at = {"at": "2026-01-01T20:00:00+02:00", "note": "call the studio"}
        answer = await api.submit(due_at=DUE, reminders=[at, {"before_due_seconds": 3600}])
        assert answer.status_code == 202
        shown = (await api.call("GET", f"/tasks/{answer.json()['id']}/status")).json()["reminders"]
        assert shown == [
            {"at": "2026-01-01T18:00:00Z", "before_due_seconds": None, "note": "call the studio"},
            {"at": "2026-01-01T23:00:00Z", "before_due_seconds": 3600, "note": None},
        ]

    async def test_a_repeated_request_meets_its_task_although_a_reminder_has_passed(self, api: Api) -> None:
        reminders = [{"at": "2026-01-01T12:01:00Z"}]
        first = await api.submit(idempotency_key="a", reminders=reminders)
        api.world.clock.advance(hours=1)
        assert (await api.submit(idempotency_key="a", reminders=reminders)).json()["id"] == first.json()["id"]

    @pytest.mark.parametrize(
        ("reminders", "fields"),
        [
            ([{}], ["reminders.0"]),
            ([{"at": DUE, "before_due_seconds": 5}], ["reminders.0"]),
            ([{"at": 1767300000}], ["reminders.0.at"]),
            ([{"at": "2026-01-01T18:00:00"}], ["reminders.0.at"]),
            ([{"at": "9999-12-31T23:59:59-12:00"}], ["reminders.0.at"]),
            ([{"at": "9999-12-31T23:59:59Z"}], ["reminders.0.at"]),
            ([{"at": "2026-01-01T11:59:59Z"}], ["reminders.0.at"]),
            ([{"before_due_seconds": -1}], ["reminders.0.before_due_seconds"]),
            ([{"before_due_seconds": 10**30}], ["reminders.0.before_due_seconds"]),
            ([{"before_due_seconds": 1.5}], ["reminders.0.before_due_seconds"]),
            ([{"before_due_seconds": True}], ["reminders.0.before_due_seconds"]),
            ([{"before_due_seconds": 86400}], ["reminders.0.before_due_seconds"]),
            ([{"at": "2026-01-01T18:00:00Z"}, {"before_due_seconds": 21600}], ["reminders.1.before_due_seconds"]),
            ([{"at": DUE, "note": "x" * 201}], ["reminders.0.note"]),
            ([{"at": DUE, "note": "a\x00b"}], ["reminders.0.note"]),
            ([{"at": DUE, "to": "me"}], ["reminders.0.to"]),
            ([{"before_due_seconds": number} for number in range(11)], ["reminders"]),
            ({"at": DUE}, ["reminders"]),
        ],
    )
    async def test_what_cannot_be_is_refused_by_name(self, api: Api, reminders: Any, fields: list[str]) -> None:
        answer = await api.submit(due_at=DUE, reminders=reminders)
        assert answer.status_code == 422
        problems = answer.json()["errors"]
        assert [problem["field"] for problem in problems] == fields
        assert all(problem["detail"] and problem["allowed"] for problem in problems)

    async def test_an_offset_wants_a_deadline(self, api: Api) -> None:
        answer = await api.submit(reminders=[{"before_due_seconds": 60}])
        [problem] = answer.json()["errors"]
        assert (answer.status_code, problem["field"], problem["given"]) == (422, "reminders.0.before_due_seconds", 60)
        assert "due_at" in problem["allowed"]


class TestTelling:
    @pytest.fixture
    async def notified(
        self, world: World, serve: Serve, database_url: Callable[[str], str]
    ) -> AsyncIterator[Notifying]:
        async with notifying(world, serve, database_url("notification")) as found:
            yield found

    async def test_a_webhook_says_which_task_and_why(self, notified: Notifying, receiver: Receiver) -> None:
        made = await notified.register(receiver.url)
        await notified.running.deliver(said())
        await until(lambda: len(receiver.received) == 1)
        [(headers, body)] = receiver.received
        signed = Webhook(made["secret"]).sign(headers["webhook-id"], NOON, body.decode())
        assert headers["webhook-signature"] == signed
        assert json.loads(body) == {
            "type": "task.reminder.v1",
            "timestamp": NOON.isoformat(),
            "data": {
                "project_id": "p1",
                "task_id": TASK.id,
                "title": "Shot 1",
                "client_ref": "s1",
                "tags": ["hero"],
                "status": "pending",
                "phase": "queued",
                "at": "2026-01-01T12:00:00Z",
                "due_at": None,
                "note": "call the studio",
                "late_seconds": None,
            },
        }

    async def test_is_told_once_however_often_and_whenever_it_is_said(
        self, notified: Notifying, receiver: Receiver
    ) -> None:
        endpoint = (await notified.register(receiver.url))["endpoint"]["id"]
        for _ in range(2):
            await notified.running.deliver(said())
        # A try that is still under way after five minutes would be made again, as that of a process that died.
        assert (await notified.tried(endpoint, 1))["type"] == "task.reminder.v1"
        notified.world.clock.advance(minutes=5)
        for _ in range(2):
            await notified.running.deliver(said(late_seconds=300))
        await settle(notified.world)
        assert len(receiver.received) == len(await notified.log(endpoint)) == 1

    @pytest.mark.parametrize(
        ("said_late", "seconds", "told"), [(None, 30, None), (None, 31, 31.0), (40.5, 0, 40.5), (40.5, 90, 90.0)]
    )
    async def test_what_is_heard_late_is_marked(
        self, notified: Notifying, receiver: Receiver, said_late: float | None, seconds: float, told: float | None
    ) -> None:
        await notified.register(receiver.url)
        notified.world.clock.advance(seconds=seconds)
        await notified.running.deliver(said(said_late))
        await until(lambda: len(receiver.received) == 1)
        assert json.loads(receiver.received[0][1])["data"]["late_seconds"] == told

    async def test_an_endpoint_may_ask_for_nothing_else_or_not_for_it(
        self, notified: Notifying, receiver: Receiver
    ) -> None:
        only = (await notified.register(receiver.url, events=["task.reminder.v1"]))["endpoint"]["id"]
        without = (await notified.register(receiver.url, events=["task.done.v1"]))["endpoint"]["id"]
        await notified.running.deliver(said())
        await notified.tried(only, 1)
        await notified.tell_of(1)
        await notified.tried(without, 1)
        assert [one["type"] for one in await notified.log(only)] == ["task.reminder.v1"]
        assert [one["type"] for one in await notified.log(without)] == ["task.done.v1"]

    async def test_another_project_is_told_nothing(self, notified: Notifying, receiver: Receiver) -> None:
        made = await notified.call("POST", "/webhooks", key=notified.stranger, json={"url": receiver.url})
        await notified.running.deliver(said())
        await settle(notified.world)
        path = f"/webhooks/{made.json()['endpoint']['id']}/deliveries"
        assert (await notified.call("GET", path, key=notified.stranger)).json()["items"] == []


class TestWatching:
    @pytest.fixture
    async def live(self, world: World, database_url: Callable[[str], str]) -> AsyncIterator[LiveServer]:
        await world.add_project("p1", "k1")
        await TaskRecords(world.state, world.clock).create(TASK)
        async with live_server(world, database_url("notification")) as found:
            yield found

    async def test_the_task_its_project_and_its_tags_are_watched(self, live: LiveServer) -> None:
        async with AsyncExitStack() as stack:
            watched = [
                await stack.enter_async_context(live.sse(f"/api/v1/live/{path}", **{"X-API-Key": live.key}))
                for path in ("projects/p1", f"tasks/{TASK.id}", "tags/hero")
            ]
            other = await stack.enter_async_context(live.sse("/api/v1/live/tags/other", **{"X-API-Key": live.key}))
            await live.running.deliver(said())
            for stream in watched:
                [told] = await stream.take(1)
                assert (told["type"], told["data"]["note"]) == ("task.reminder.v1", "call the studio")
            assert other.told.empty()

    async def test_who_begins_to_watch_a_task_is_shown_how_it_is(self, live: LiveServer) -> None:
        await live.tell(TASK)
        await live.running.deliver(said())
        async with live.sse(f"/api/v1/live/tasks/{TASK.id}", **{"X-API-Key": live.key}) as stream:
            [told] = await stream.take(1)
            assert told["type"] == "task.accepted.v1"
