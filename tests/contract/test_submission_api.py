"""Every endpoint of submission, from the point of view of who calls it."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from contracts.media import Medium
from contracts.records import TaskRecords, media_records
from contracts.tasks import Assign, Fail
from contracts.testing.examples import NOON, a_problem, a_task, media_result
from contracts.tracing import TraceContext

from tests.contract.conftest import Api

UNKNOWN = "00000000-0000-0000-0000-000000000000"


class TestSubmit:
    async def test_answers_with_a_pending_task_and_where_to_look(self, api: Api) -> None:
        answer = await api.submit()
        assert answer.status_code == 202
        task = answer.json()
        assert (task["status"], task["phase"], task["project_id"]) == ("pending", "queued", "p1")
        assert answer.headers["location"] == task["links"]["status"] == f"/api/v1/tasks/{task['id']}/status"
        assert (await api.call("GET", f"/tasks/{task['id']}/status")).json() == {**task, "paused": None}

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"),
            ("x" * 5000, None),
            ("00-no-trace-01", None),
        ],
    )
    async def test_a_trace_goes_on_and_a_bad_one_refuses_nothing(self, api: Api, sent: str, kept: str | None) -> None:
        answer = await api.call(
            "POST",
            "/tasks/submit",
            headers={"traceparent": sent},
            json={"model": "tiny-image", "params": {"prompt": "x"}},
        )
        assert answer.status_code == 202
        [message] = api.world.bus.messages
        told = TraceContext.read(message.event.traceparent)
        assert (told.trace_id if told else None) == kept
        # Nothing is traced here, whatever the caller has decided for itself.
        assert told is None or not told.sampled

    async def test_the_wrong_method_is_told_the_right_ones(self, api: Api) -> None:
        answer = await api.call("POST", f"/tasks/{UNKNOWN}/cancel")
        assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE")
        assert "use DELETE" in answer.json()["detail"]
        beside_a_parameter = await api.call("OPTIONS", "/tasks/submit")
        assert beside_a_parameter.headers["allow"] == "POST"
        several = await api.admin("PUT", "/projects/p1/keys")
        assert (several.status_code, several.headers["allow"]) == (405, "GET, POST")

    async def test_what_is_to_start_later_is_scheduled_and_no_part_of_the_queue(self, api: Api) -> None:
        times = {"start_at": "2026-01-01T15:00:00+02:00", "due_at": "2026-01-02T00:00:00Z"}
        answer = await api.submit(**times)
        assert answer.status_code == 202
        task = answer.json()
        assert (task["status"], task["phase"], task["start_at"]) == ("pending", "scheduled", "2026-01-01T13:00:00Z")
        await api.running.deliver(api.world.bus.messages[-1])
        queue = (await api.call("GET", "/projects/p1/queue")).json()
        assert (queue["scheduled"], queue["waiting"], queue["tasks"]) == (1, 0, [])

    async def test_times_that_do_not_fit_each_other_are_refused(self, api: Api) -> None:
        answer = await api.submit(start_at="2026-01-02T00:00:00Z", due_at="2026-01-01T23:00:00Z")
        assert answer.status_code == 422
        assert [problem["field"] for problem in answer.json()["errors"]] == ["due_at"]

    @pytest.mark.parametrize("field", ["start_at", "due_at", "expires_at"])
    @pytest.mark.parametrize(
        "given", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z"]
    )
    async def test_moments_that_no_calendar_holds_are_refused(self, api: Api, field: str, given: str) -> None:
        answer = await api.submit(**{field: given})
        assert answer.status_code == 422
        assert [problem["field"] for problem in answer.json()["errors"]] == [field]

    async def test_announces_once(self, api: Api) -> None:
        await api.submit(idempotency_key="a")
        await api.submit(idempotency_key="a")
        assert api.world.bus.types == ["task.accepted.v1"]

    async def test_the_same_key_and_body_meet_the_same_task(self, api: Api) -> None:
        first, second = await api.submit(idempotency_key="a"), await api.submit(idempotency_key="a")
        assert (second.status_code, second.json()) == (202, first.json())

    async def test_the_same_key_with_another_body_is_refused(self, api: Api) -> None:
        await api.submit(idempotency_key="a")
        for other in ({"priority": "high"}, {"params": {"prompt": "another"}}):
            answer = await api.submit(idempotency_key="a", **other)
            assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-mismatch")

    async def test_keys_of_different_projects_do_not_meet(self, api: Api) -> None:
        first = await api.submit(idempotency_key="a")
        second = await api.submit(idempotency_key="a", key=api.stranger)
        assert first.json()["id"] != second.json()["id"]

    async def test_without_a_key_every_request_is_a_task(self, api: Api) -> None:
        assert (await api.submit()).json()["id"] != (await api.submit()).json()["id"]

    async def test_a_request_outside_the_catalog_names_field_range_and_value(self, api: Api) -> None:
        answer = await api.submit(params={"prompt": "x", "width": 4096})
        problem = answer.json()
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["errors"] == [
            {
                "field": "params.width",
                "detail": "Input should be less than or equal to 256",
                "allowed": {"type": "integer", "min": 64, "max": 256, "step": 8},
                "given": 4096,
            }
        ]
        assert api.world.bus.messages == []

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"{" * 10_000, b'{"a": NaN}'])
    async def test_what_is_no_json_object_is_refused(self, api: Api, body: bytes) -> None:
        answer = await api.call("POST", "/tasks/submit", content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")

    async def test_a_body_too_large_is_refused_claimed_or_not(self, api: Api) -> None:
        large = json.dumps({"model": "tiny-image", "params": {"prompt": "x" * 300_000}}).encode()

        async def in_pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(large), 10_000):
                yield large[start : start + 10_000]

        claimed = await api.call("POST", "/tasks/submit", content=large)
        unclaimed = await api.call("POST", "/tasks/submit", content=in_pieces())
        assert [claimed.status_code, unclaimed.status_code] == [413, 413]

    async def test_inputs_must_be_media_of_the_same_project_and_medium(self, api: Api) -> None:
        own = media_result(a_task(project_id="p1"))
        foreign = media_result(a_task(project_id="p2"))
        sound = media_result(a_task(project_id="p1"), attempt=2, medium=Medium.AUDIO)
        for media in (own, foreign, sound):
            await media_records(api.world.state).create(media.id, media)
        for media_id, status in ((own.id, 202), (foreign.id, 422), (sound.id, 422), (UNKNOWN, 422)):
            answer = await api.submit(model="tiny-image-edit", inputs={"image": media_id})
            assert answer.status_code == status, answer.text
            if status == 422:
                assert answer.json()["errors"][0]["field"] == "inputs.image"

    async def test_a_suspended_project_takes_no_tasks(self, api: Api) -> None:
        await api.admin("PATCH", "/projects/p1", json={"active": False})
        answer = await api.submit()
        assert (answer.status_code, answer.json()["code"]) == (403, "project-inactive")
        await api.admin("PATCH", "/projects/p1", json={"active": True})
        assert (await api.submit()).status_code == 202

    async def test_a_suspended_project_sends_nothing_round_again(self, api: Api) -> None:
        task_id = (await api.submit()).json()["id"]
        await api.call("POST", f"/tasks/{task_id}/cancel")
        await api.admin("PATCH", "/projects/p1", json={"active": False})
        refused = await api.call("POST", f"/tasks/{task_id}/retry")
        assert (refused.status_code, refused.json()["code"]) == (403, "project-inactive")


class TestKeys:
    @pytest.mark.parametrize(
        "key",
        ["", "nonsense", "mt_k1_", "mt_k1_wrong", "mt_unknown_" + "s" * 43, "mt_../../x_y", "x" * 10_000, "mt_k1_ü"],
    )
    async def test_a_wrong_key_opens_nothing(self, api: Api, key: str) -> None:
        answer = await api.running.http.post("/api/v1/tasks/submit", headers={b"X-API-Key": key.encode()}, json={})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert "WWW-Authenticate" in answer.headers

    async def test_an_expired_key_opens_nothing(self, api: Api) -> None:
        key = await api.world.add_key("p1", "short", expires_at=NOON + timedelta(hours=1))
        assert (await api.submit(key=key)).status_code == 202
        api.world.clock.advance(hours=1)
        assert (await api.submit(key=key)).status_code == 401

    async def test_a_revoked_key_opens_nothing_after_seconds(self, api: Api) -> None:
        assert (await api.submit()).status_code == 202
        await api.admin("DELETE", "/projects/p1/keys/k1")
        api.world.clock.advance(seconds=5)
        assert (await api.submit()).status_code == 401

    async def test_a_key_in_the_query_is_no_key_here(self, api: Api) -> None:
        answer = await api.running.http.get(f"/api/v1/projects/p1/tasks?api_key={api.key}")
        assert answer.status_code == 401


class TestIsolation:
    async def test_an_unknown_and_a_foreign_task_look_the_same(self, api: Api) -> None:
        task_id = (await api.submit()).json()["id"]
        for method, path in (
            ("GET", "/tasks/{}/status"),
            ("GET", "/tasks/{}/history"),
            ("DELETE", "/tasks/{}/cancel"),
            ("POST", "/tasks/{}/retry"),
            ("POST", "/tasks/{}/replay"),
            ("PATCH", "/tasks/{}"),
        ):
            body: dict[str, object] = {"json": {"priority": "high"}} if method == "PATCH" else {}
            foreign = await api.call(method, path.format(task_id), key=api.stranger, **body)
            unknown = await api.call(method, path.format(UNKNOWN), key=api.stranger, **body)
            assert foreign.status_code == unknown.status_code == 404
            assert foreign.text.replace(task_id, "ID") == unknown.text.replace(UNKNOWN, "ID")

    async def test_another_projects_lists_are_not_found(self, api: Api) -> None:
        for path in ("/projects/p1/tasks", "/projects/p1/queue", "/projects/nobody/tasks"):
            assert (await api.call("GET", path, key=api.stranger)).status_code == 404

    @pytest.mark.parametrize("task_id", ["..%2f..%2fetc", "x||y", "%00", "a" * 3000, "task:1"])
    async def test_an_id_that_is_none_is_not_found(self, api: Api, task_id: str) -> None:
        assert (await api.call("GET", f"/tasks/{task_id}/status")).status_code == 404


class TestCancelAndRetry:
    async def test_a_waiting_task_is_cancelled_at_once(self, api: Api) -> None:
        task_id = (await api.submit()).json()["id"]
        answer = await api.call("DELETE", f"/tasks/{task_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert api.world.bus.types == ["task.accepted.v1", "task.cancelled.v1"]
        assert (await api.call("DELETE", f"/tasks/{task_id}/cancel")).json()["status"] == "cancelled"

    async def test_a_running_task_is_asked_to_stop(self, api: Api) -> None:
        task_id = (await api.submit()).json()["id"]
        await api.start(task_id)
        answer = await api.call("DELETE", f"/tasks/{task_id}/cancel")
        assert (answer.json()["status"], answer.json()["cancel_requested"]) == ("processing", True)
        assert api.world.bus.types[-2:] == ["task.processing.v1", "task.cancel-requested.v1"]

    async def test_a_done_task_can_neither_be_cancelled_nor_retried(self, api: Api) -> None:
        task_id = (await api.submit()).json()["id"]
        await api.finish(task_id)
        for method, path in (("DELETE", "cancel"), ("POST", "retry")):
            answer = await api.call(method, f"/tasks/{task_id}/{path}")
            assert (answer.status_code, answer.json()["code"]) == (409, "illegal-transition")

    async def test_an_ended_task_can_be_sent_round_again(self, api: Api) -> None:
        task_id = (await api.submit()).json()["id"]
        records = TaskRecords(api.world.state, api.world.clock)
        await records.change(task_id, lambda task: Assign("worker-1", NOON))
        await records.change(task_id, lambda task: Fail(1, a_problem()))
        answer = await api.call("POST", f"/tasks/{task_id}/retry")
        assert (answer.status_code, answer.json()["status"], answer.json()["error"]) == (202, "pending", None)
        assert api.world.bus.types[-1] == "task.queued.v1"
        assert (await api.call("POST", f"/tasks/{task_id}/retry")).status_code == 409


class TestPrioritise:
    async def test_a_waiting_task_goes_before_others(self, api: Api) -> None:
        first = (await api.submit()).json()["id"]
        api.world.clock.advance(seconds=1)
        second = (await api.submit()).json()["id"]
        answer = await api.call("PATCH", f"/tasks/{second}", json={"priority": "high"})
        assert (answer.status_code, answer.json()["priority"]) == (200, "high")
        assert api.world.bus.types[-1] == "task.queued.v1"
        await api.running.deliver(api.world.bus.messages[-1])
        waiting = (await api.call("GET", "/projects/p1/queue")).json()["tasks"]
        assert [task["task_id"] for task in waiting] == [second, first]

    async def test_the_same_priority_again_is_nothing_new(self, api: Api) -> None:
        task_id = (await api.submit()).json()["id"]
        answer = await api.call("PATCH", f"/tasks/{task_id}", json={"priority": "medium"})
        assert (answer.status_code, answer.json()["seq"]) == (200, 1)
        assert api.world.bus.types == ["task.accepted.v1"]

    async def test_a_task_that_has_ended_has_none(self, api: Api) -> None:
        task_id = (await api.submit()).json()["id"]
        await api.finish(task_id)
        answer = await api.call("PATCH", f"/tasks/{task_id}", json={"priority": "high"})
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal-transition")

    @pytest.mark.parametrize("body", [{}, {"priority": "urgent"}, {"priority": 2}, {"status": "done"}])
    async def test_nothing_else_can_be_changed(self, api: Api, body: dict[str, object]) -> None:
        task_id = (await api.submit()).json()["id"]
        assert (await api.call("PATCH", f"/tasks/{task_id}", json=body)).status_code == 422


async def test_a_tasks_history_is_every_event_once(api: Api) -> None:
    task_id = (await api.submit()).json()["id"]
    for _ in range(2):
        for message in list(api.world.bus.messages):
            await api.running.deliver(message)
    await api.finish(task_id)
    history = (await api.call("GET", f"/tasks/{task_id}/history")).json()
    assert [entry["type"] for entry in history] == ["task.accepted.v1", "task.processing.v1", "task.done.v1"]
