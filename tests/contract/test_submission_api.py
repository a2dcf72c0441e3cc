"""Every endpoint of submission, from the point of view of who calls it."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from contracts.events import task_changed, worker_heartbeat
from contracts.media import Medium
from contracts.records import TaskRecords, media_records
from contracts.tasks import Advance, Assign, Complete, Fail, Phase, Produce
from contracts.testing.examples import NOON, a_problem, a_task, a_worker, media_result, produced_media

from tests.conftest import ADMIN_KEY, TOKEN
from tests.contract.conftest import Api

UNKNOWN = "00000000-0000-0000-0000-000000000000"


class TestSubmit:
    async def test_answers_with_a_pending_task_and_where_to_look(self, api: Api) -> None:
        answer = await api.submit()
        assert answer.status_code == 202
        task = answer.json()
        assert (task["status"], task["phase"], task["project_id"]) == ("pending", "queued", "p1")
        assert answer.headers["location"] == task["links"]["status"] == f"/api/v1/tasks/{task['id']}/status"
        assert (await api.call("GET", f"/tasks/{task['id']}/status")).json() == task

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",) * 2,
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
        assert message.event.traceparent == kept

    async def test_the_wrong_method_is_told_the_right_ones(self, api: Api) -> None:
        answer = await api.call("POST", f"/tasks/{UNKNOWN}/cancel")
        assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE")
        assert "use DELETE" in answer.json()["detail"]
        beside_a_parameter = await api.call("OPTIONS", "/tasks/submit")
        assert beside_a_parameter.headers["allow"] == "POST"
        several = await api.admin("PUT", "/projects/p1/keys")
        assert (several.status_code, several.headers["allow"]) == (405, "GET, POST")

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
        await start(api, task_id)
        answer = await api.call("DELETE", f"/tasks/{task_id}/cancel")
        assert (answer.json()["status"], answer.json()["cancel_requested"]) == ("processing", True)
        assert api.world.bus.types[-2:] == ["task.processing.v1", "task.cancel-requested.v1"]

    async def test_a_done_task_can_neither_be_cancelled_nor_retried(self, api: Api) -> None:
        task_id = (await api.submit()).json()["id"]
        await finish(api, task_id)
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
        await finish(api, task_id)
        answer = await api.call("PATCH", f"/tasks/{task_id}", json={"priority": "high"})
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal-transition")

    @pytest.mark.parametrize("body", [{}, {"priority": "urgent"}, {"priority": 2}, {"status": "done"}])
    async def test_nothing_else_can_be_changed(self, api: Api, body: dict[str, object]) -> None:
        task_id = (await api.submit()).json()["id"]
        assert (await api.call("PATCH", f"/tasks/{task_id}", json=body)).status_code == 422


class TestListing:
    async def test_filters_narrow(self, api: Api) -> None:
        red = (await api.submit(tags=["hero", "night"], priority="high", title="Opening shot")).json()["id"]
        green = (await api.submit(model="tiny-audio", params={"prompt": "a green bird sings"}, tags=["night"])).json()[
            "id"
        ]
        for query, expected in (
            ({}, {red, green}),
            ({"tag": ["night"]}, {red, green}),
            ({"tag": ["night", "hero"]}, {red}),
            ({"medium": "audio"}, {green}),
            ({"model": "tiny-image"}, {red}),
            ({"priority": ["high", "low"]}, {red}),
            ({"status": "pending"}, {red, green}),
            ({"status": ["done", "failed"]}, set()),
            ({"q": "GREEN bi"}, {green}),
            ({"q": "opening"}, {red}),
            ({"q": "nothing like it"}, set()),
            ({"q": "' OR 1=1 --"}, set()),
            ({"q": "%"}, {red, green}),
        ):
            answer = await api.call("GET", "/projects/p1/tasks", params=query)
            assert {task["id"] for task in answer.json()["items"]} == expected, query

    @pytest.mark.parametrize(
        "sort", ["-created_at", "created_at", "-priority", "priority", "-updated_at", "updated_at"]
    )
    async def test_pages_hold_every_task_once_in_order(self, api: Api, sort: str) -> None:
        for number in range(7):
            api.world.clock.advance(seconds=number % 3)
            await api.submit(priority=["low", "medium", "high"][number % 3])
        seen, cursor = [], None
        while True:
            query = {"limit": 3, "sort": sort} | ({"cursor": cursor} if cursor else {})
            page = (await api.call("GET", "/projects/p1/tasks", params=query)).json()
            seen += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len({task["id"] for task in seen}) == 7
        ranks = {"low": 0, "medium": 1, "high": 2}
        values = [ranks[task["priority"]] if "priority" in sort else task[sort.lstrip("-")] for task in seen]
        assert values == sorted(values, reverse=sort.startswith("-"))

    @pytest.mark.parametrize(
        "cursor", ["nonsense", "", "W10=", "WyItY3JlYXRlZF9hdCIsMSwyXQ==", "WyJwcmlvcml0eSIsMSwieCJd", "ü", "A" * 600]
    )
    async def test_a_made_up_cursor_is_refused(self, api: Api, cursor: str) -> None:
        answer = await api.call("GET", "/projects/p1/tasks", params={"cursor": cursor})
        assert answer.status_code == (200 if cursor == "" else 422)

    @pytest.mark.parametrize(
        ("sort", "value", "task_id"),
        [
            ("-created_at", '"yesterday"', '"x"'),
            ("-created_at", '"2026-01-01T12:00:00"', '"x"'),
            ("-created_at", '"0001-01-01T00:00:00+14:00"', '"x"'),
            ("-created_at", '"2026-01-01T12:00:00Z"', r'"\ud800"'),
            ("priority", "4294967296", '"x"'),
            ("priority", "true", "{"),
        ],
    )
    async def test_a_cursor_with_what_no_column_can_hold_is_refused(
        self, api: Api, sort: str, value: str, task_id: str
    ) -> None:
        cursor = base64.urlsafe_b64encode(f'["{sort}",{value},{task_id}]'.encode()).decode()
        answer = await api.call("GET", "/projects/p1/tasks", params={"cursor": cursor, "sort": sort})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")

    @pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"sort": "id"}, {"status": "lost"}])
    async def test_a_wrong_filter_is_refused(self, api: Api, query: dict[str, str]) -> None:
        answer = await api.call("GET", "/projects/p1/tasks", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


class TestQueue:
    async def test_shows_who_is_next(self, api: Api) -> None:
        ids = []
        for priority in ("low", "high", "medium"):
            ids.append((await api.submit(priority=priority)).json()["id"])
            api.world.clock.advance(seconds=10)
        await start(api, (await api.submit()).json()["id"])
        queue = (await api.call("GET", "/projects/p1/queue")).json()
        assert [task["task_id"] for task in queue["tasks"]] == [ids[1], ids[2], ids[0]]
        assert [task["position"] for task in queue["tasks"]] == [1, 2, 3]
        assert (queue["waiting"], queue["processing"], queue["oldest_waiting_seconds"]) == (3, 1, 30)
        assert queue["waiting_by_priority"] == {"low": 1, "medium": 1, "high": 1}


class TestMonitoring:
    async def test_health_needs_no_key(self, api: Api) -> None:
        answer = await api.running.http.get("/api/v1/health")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")

    async def test_workers_are_those_heard_lately_and_do_not_tell_whose_tasks_they_run(self, api: Api) -> None:
        worker = a_worker(
            sent_at=NOON,
            state="busy",
            runs=[{"task_id": UNKNOWN, "attempt": 1, "phase": "generating", "on_device": True}],
        )
        await api.running.deliver(worker_heartbeat(worker, "gpu-worker-image"))
        report = (await api.call("GET", "/workers/status")).json()
        assert report["by_state"] == {"busy": 1}
        assert report["workers"][0]["runs"] == []
        api.world.clock.advance(seconds=31)
        assert (await api.call("GET", "/workers/status")).json()["workers"] == []

    async def test_models_are_the_catalogs(self, api: Api) -> None:
        await api.running.deliver(worker_heartbeat(a_worker(warm_models=["tiny-image"]), "gpu-worker-image"))
        models = {model["key"]: model for model in (await api.call("GET", "/models")).json()}
        assert set(models) == {entry.key for entry in api.world.catalog.models}
        assert models["tiny-image"]["parameters"]["width"]["max"] == 256
        assert (models["tiny-image"]["warm"], models["tiny-image"]["workers"]) == (True, 1)

    async def test_a_tasks_history_is_every_event_once(self, api: Api) -> None:
        task_id = (await api.submit()).json()["id"]
        for _ in range(2):
            for message in list(api.world.bus.messages):
                await api.running.deliver(message)
        await finish(api, task_id)
        history = (await api.call("GET", f"/tasks/{task_id}/history")).json()
        assert [entry["type"] for entry in history] == ["task.accepted.v1", "task.processing.v1", "task.done.v1"]


class TestAdmin:
    @pytest.mark.parametrize("key", [None, "", "wrong", ADMIN_KEY + "x"])
    async def test_opens_to_the_operator_only(self, api: Api, key: str | None) -> None:
        headers = {"X-API-Key": api.key} | ({"X-Admin-Key": key} if key is not None else {})
        for method, path in (("GET", "/projects"), ("POST", "/projects"), ("GET", "/audit"), ("GET", "/dead-letters")):
            answer = await api.running.http.request(method, f"/api/v1/admin{path}", headers=headers)
            assert answer.status_code == 401

    async def test_a_new_project_and_its_key_work(self, api: Api) -> None:
        assert (await api.admin("POST", "/projects", json={"id": "p3", "name": "Third"})).status_code == 201
        assert (await api.admin("POST", "/projects", json={"id": "p3", "name": "Third"})).status_code == 409
        issued = (await api.admin("POST", "/projects/p3/keys", json={"label": "cms"})).json()
        assert (await api.submit(key=issued["key"])).json()["project_id"] == "p3"
        listed = (await api.admin("GET", "/projects/p3/keys")).json()
        assert [key["id"] for key in listed] == [issued["details"]["id"]]
        assert issued["key"].split("_", 2)[2] not in json.dumps(listed)

    @pytest.mark.parametrize("project_id", ["", "..", "a/b", "a||b", "-x", "x" * 65, "ü"])
    async def test_a_project_id_must_be_safe_in_keys_and_paths(self, api: Api, project_id: str) -> None:
        answer = await api.admin("POST", "/projects", json={"id": project_id, "name": "x"})
        assert answer.status_code == 422

    async def test_every_action_is_written_down_without_secrets(self, api: Api) -> None:
        await api.admin("POST", "/projects", json={"id": "p3", "name": "Third"})
        issued = (await api.admin("POST", "/projects/p3/keys", json={})).json()
        await api.admin("DELETE", f"/projects/p3/keys/{issued['details']['id']}")
        await api.admin("PATCH", "/projects/p3", json={"active": False})
        audit = (await api.admin("GET", "/audit")).json()
        assert [entry["action"] for entry in audit] == ["project.suspend", "key.revoke", "key.create", "project.create"]
        assert audit[0]["before"]["active"] is True
        assert audit[0]["after"]["active"] is False
        assert issued["key"].split("_", 2)[2] not in json.dumps(audit)
        assert "digest" not in json.dumps(audit)


class TestSidecarOnly:
    @pytest.mark.parametrize("path", ["/dapr/subscribe", "/events/events/task-requests", "/job/submission-outbox-x"])
    async def test_what_is_meant_for_the_sidecar_is_closed_to_others(self, api: Api, path: str) -> None:
        for headers in ({}, {"dapr-api-token": "guess"}, {"X-API-Key": api.key}):
            method = "GET" if "subscribe" in path else "POST"
            assert (await api.running.http.request(method, path, headers=headers)).status_code == 401

    async def test_a_delivery_is_taken_whole_or_in_pieces_and_not_without_end(self, api: Api) -> None:
        body = b'{"type": "broken"}'

        async def in_pieces(parts: int) -> AsyncIterator[bytes]:
            for _ in range(parts):
                yield body

        for content in (body, in_pieces(1)):
            taken = await deliver(api, content)
            assert (taken.status_code, taken.json()) == (200, {"status": "SUCCESS"})
        for content in (body * 300_000, in_pieces(300_000)):
            assert (await deliver(api, content)).status_code == 413


async def deliver(api: Api, content: bytes | AsyncIterator[bytes]) -> httpx.Response:
    headers = {"dapr-api-token": TOKEN}
    return await api.running.http.post("/events/events/dead-letters", content=content, headers=headers)


async def start(api: Api, task_id: str) -> None:
    tasks = TaskRecords(api.world.state, api.world.clock)
    await tasks.change(task_id, lambda task: Assign("worker-1", NOON))
    task = await tasks.change(task_id, lambda task: Advance(1, Phase.GENERATING))
    await api.running.deliver(task_changed(task, "test"))


async def finish(api: Api, task_id: str) -> None:
    tasks = TaskRecords(api.world.state, api.world.clock)
    await start(api, task_id)
    task = await tasks.change(task_id, lambda task: Produce(1, produced_media(task), NOON))
    task = await tasks.change(task_id, lambda task: Complete(1, media_result(task)))
    await api.running.deliver(task_changed(task, "test"))
