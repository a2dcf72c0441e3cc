"""What operators see of all projects' tasks, and do to many at once."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from contracts.events import CancelRequested, task_changed
from contracts.identifiers import task_id_for
from contracts.records import TaskRecords
from contracts.tasks import Phase, Priority, RequestCancel, Task
from contracts.testing.examples import NOON, a_task_in
from contracts.topics import TASK_CONTROL

from tests.contract.conftest import Api

WAITING = {"status": "pending", "phase": "queued", "priority": "medium", "cancel_requested": False}
UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def has(api: Api, name: str, phase: Phase = Phase.QUEUED, project_id: str = "p1", **changes: Any) -> Task:
    """A task in the state store that the listing has heard of."""
    task = a_task_in(phase, id=task_id_for(project_id, name), project_id=project_id, title=name, **changes)
    await TaskRecords(api.world.state, api.world.clock).create(task)
    assert await api.running.deliver(task_changed(task, "test")) == "SUCCESS"
    return task


async def record(api: Api, task: Task) -> Task:
    found = await TaskRecords(api.world.state, api.world.clock).get(task.id)
    assert found is not None
    return found


async def bulk(api: Api, action: str, select: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = await api.admin("POST", "/tasks/bulk", json={"action": action, "select": select, **more})
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


async def listed(api: Api, **query: Any) -> list[str]:
    answer = await api.admin("GET", "/tasks", params=query)
    assert answer.status_code == 200, answer.text
    return [task["title"] for task in answer.json()["items"]]


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {item["title"]: item["outcome"] for item in report["items"]}


class TestWhoMay:
    @pytest.mark.parametrize("key", [None, "", "wrong"])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/tasks"),
            ("GET", f"/tasks/{UNKNOWN}"),
            ("POST", "/tasks/bulk"),
            ("GET", "/queue"),
            ("GET", "/workers"),
        ],
    )
    async def test_only_operators_see_or_change_anything(
        self, api: Api, method: str, path: str, key: str | None
    ) -> None:
        task = await has(api, "a")
        headers = {"X-API-Key": api.key} | ({"X-Admin-Key": key} if key is not None else {})
        body = {"action": "cancel", "select": {"ids": [task.id]}, "dry_run": False}
        options = {"json": body} if method == "POST" else {}
        answer = await api.running.http.request(method, f"/api/v1/admin{path}", headers=headers, **options)  # type: ignore[arg-type]
        assert answer.status_code == 401
        assert (await record(api, task)) == task


class TestListing:
    async def test_shows_tasks_of_all_projects_and_of_the_named_ones(self, api: Api) -> None:
        await has(api, "ours")
        await has(api, "theirs", project_id="p2")
        assert set(await listed(api)) == {"ours", "theirs"}
        assert await listed(api, project="p2") == ["theirs"]
        assert set(await listed(api, project=["p1", "p2"])) == {"ours", "theirs"}
        assert await listed(api, project="p3") == []

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"status": "failed"}, ["broken"]),
            ({"phase": "queued"}, ["waits"]),
            ({"priority": "high"}, ["broken"]),
            ({"tag": "night"}, ["waits"]),
            ({"model": "tiny-video"}, []),
            ({"medium": "image", "status": "pending"}, ["waits"]),
            ({"q": "wai"}, ["waits"]),
            ({"created_before": "2026-01-01T11:30:00Z"}, ["broken"]),
            ({"ids": task_id_for("p1", "waits")}, ["waits"]),
        ],
    )
    async def test_every_part_of_a_selection_narrows(self, api: Api, query: dict[str, str], found: list[str]) -> None:
        await has(api, "waits", tags=("night",))
        await has(
            api, "broken", Phase.FAILED, priority=Priority.HIGH, created_at=NOON - timedelta(hours=1), project_id="p2"
        )
        assert await listed(api, **query) == found

    async def test_is_paged_by_cursor(self, api: Api) -> None:
        for name in "abc":
            await has(api, name, created_at=NOON + timedelta(seconds=ord(name)))
        first = (await api.admin("GET", "/tasks", params={"limit": 2, "sort": "created_at"})).json()
        assert [task["title"] for task in first["items"]] == ["a", "b"]
        rest = await api.admin(
            "GET", "/tasks", params={"limit": 2, "sort": "created_at", "cursor": first["next_cursor"]}
        )
        assert [task["title"] for task in rest.json()["items"]] == ["c"]
        assert rest.json()["next_cursor"] is None

    @pytest.mark.parametrize(
        "query",
        [
            {"ids": "../x"},
            {"project": "a/b"},
            {"phase": "dreaming"},
            {"created_before": "yesterday"},
            {"limit": "0"},
            {"limit": "1000000"},
            {"cursor": "x" * 600},
            {"cursor": "e30="},
            {"q": "a\x00b"},
            {"unknown": "1"},
            {"tag": "' OR 1=1 --" * 10},
        ],
    )
    async def test_what_is_no_selection_is_refused(self, api: Api, query: dict[str, str]) -> None:
        assert (await api.admin("GET", "/tasks", params=query)).status_code == 422

    async def test_a_task_is_shown_with_its_history(self, api: Api) -> None:
        task = await has(api, "a")
        shown = (await api.admin("GET", f"/tasks/{task.id}")).json()
        assert (shown["task"]["id"], [entry["seq"] for entry in shown["history"]]) == (task.id, [task.seq])
        for unknown in (UNKNOWN, "..%2f..", "x" * 500):
            assert (await api.admin("GET", f"/tasks/{unknown}")).status_code == 404

    async def test_the_queue_is_counted_by_project_and_phase(self, api: Api) -> None:
        await has(api, "a")
        await has(api, "b", created_at=NOON - timedelta(hours=2))
        await has(api, "c", Phase.GENERATING, project_id="p2")
        await has(api, "d", Phase.DONE)
        counted = (await api.admin("GET", "/queue")).json()
        assert [(one["project_id"], one["phase"], one["count"]) for one in counted] == [
            ("p1", "queued", 2),
            ("p2", "generating", 1),
        ]
        assert counted[0]["oldest"] == "2026-01-01T10:00:00Z"


class TestDryRun:
    async def test_says_what_would_change_and_changes_nothing(self, api: Api) -> None:
        waits, runs = await has(api, "waits"), await has(api, "runs", Phase.GENERATING)
        done = await has(api, "done", Phase.DONE, project_id="p2")
        writes = api.world.state.writes
        report = await bulk(api, "cancel", {"project": ["p1", "p2"]})
        assert report["dry_run"] is True
        assert outcomes(report) == {"waits": "would_change", "runs": "would_change", "done": "refused"}
        assert report["by_outcome"] == {"would_change": 2, "refused": 1}
        by_title = {item["title"]: item for item in report["items"]}
        assert by_title["waits"]["before"] == WAITING
        assert by_title["waits"]["after"] == WAITING | {
            "status": "cancelled", "phase": "cancelled", "cancel_requested": True,
        }  # fmt: skip
        assert by_title["runs"]["after"]["cancel_requested"] is True
        assert "is done and cannot become cancelled" in by_title["done"]["reason"]
        assert api.world.state.writes == writes
        assert [await record(api, task) for task in (waits, runs, done)] == [waits, runs, done]
        assert (await api.admin("GET", "/audit")).json() == []


class TestChanging:
    async def test_cancels_what_was_selected_and_nothing_else(self, api: Api) -> None:
        waits, theirs = await has(api, "waits"), await has(api, "theirs", project_id="p2")
        report = await bulk(api, "cancel", {"project": ["p1"]}, dry_run=False)
        assert outcomes(report) == {"waits": "changed"}
        assert (await record(api, waits)).phase is Phase.CANCELLED
        assert await record(api, theirs) == theirs

    async def test_a_running_task_is_told_to_stop(self, api: Api) -> None:
        runs = await has(api, "runs", Phase.GENERATING)
        await bulk(api, "cancel", {"ids": [runs.id]}, dry_run=False)
        assert (await record(api, runs)).cancel_requested
        [told] = [message for message in api.world.bus.messages if message.topic is TASK_CONTROL]
        assert CancelRequested.model_validate(told.event.data).task_id == runs.id

    async def test_retries_what_ended_without_a_result(self, api: Api) -> None:
        failed, done = await has(api, "failed", Phase.FAILED), await has(api, "done", Phase.DONE)
        report = await bulk(api, "retry", {"ids": [failed.id, done.id]}, dry_run=False)
        assert outcomes(report) == {"failed": "changed", "done": "refused"}
        assert (await record(api, failed)).phase is Phase.QUEUED

    async def test_gives_another_priority(self, api: Api) -> None:
        low = await has(api, "low", priority=Priority.LOW)
        high = await has(api, "high", priority=Priority.HIGH)
        report = await bulk(api, "prioritise", {"project": ["p1"]}, priority="high", dry_run=False)
        assert outcomes(report) == {"low": "changed", "high": "as_wanted"}
        assert (await record(api, low)).priority is Priority.HIGH
        assert await record(api, high) == high

    async def test_can_be_repeated(self, api: Api) -> None:
        task = await has(api, "a")
        for outcome in ("changed", "as_wanted"):
            report = await bulk(api, "cancel", {"ids": [task.id]}, dry_run=False)
            assert outcomes(report) == {"a": outcome}
        assert (await record(api, task)).seq == task.seq + 1

    async def test_what_has_left_the_selection_since_it_was_listed_is_left_alone(self, api: Api) -> None:
        """The listing lags: it says `queued` of a task that runs by now."""
        heard = await has(api, "a")
        running = a_task_in(Phase.GENERATING, id=heard.id, title="a")
        found = await api.world.state.get(f"task:{heard.id}")
        assert found is not None
        await api.world.state.replace(f"task:{heard.id}", running.model_dump_json().encode(), found.etag)
        report = await bulk(api, "cancel", {"phase": ["queued"]}, dry_run=False)
        assert outcomes(report) == {"a": "refused"}
        assert "is left alone: it is generating by now" in report["items"][0]["reason"]
        assert await record(api, heard) == running

    async def test_what_changes_in_the_very_moment_is_decided_again(self, api: Api) -> None:
        task = await has(api, "a", priority=Priority.LOW)
        records = TaskRecords(api.world.state, api.world.clock)
        state, replace = api.world.state, api.world.state.replace

        async def cancelled_first(key: str, value: bytes, etag: str) -> None:
            state.replace = replace  # type: ignore[method-assign]
            await records.change(task.id, lambda _: RequestCancel())
            await replace(key, value, etag)

        state.replace = cancelled_first  # type: ignore[method-assign]
        report = await bulk(api, "prioritise", {"ids": [task.id]}, priority="high", dry_run=False)
        assert outcomes(report) == {"a": "refused"}
        assert (await record(api, task)).phase is Phase.CANCELLED

    async def test_goes_on_where_it_ended(self, api: Api) -> None:
        for name in "abc":
            await has(api, name, created_at=NOON + timedelta(seconds=ord(name)))
        first = await bulk(api, "cancel", {"project": ["p1"]}, dry_run=False, limit=2)
        assert (outcomes(first), first["matched"]) == ({"a": "changed", "b": "changed"}, 3)
        rest = await bulk(api, "cancel", {"project": ["p1"]}, dry_run=False, limit=2, cursor=first["next_cursor"])
        assert (outcomes(rest), rest["next_cursor"]) == ({"c": "changed"}, None)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"action": "destroy", "select": {"project": ["p1"]}},
            {"action": "cancel"},
            {"action": "cancel", "select": {}},
            {"action": "cancel", "select": {"project": []}},
            {"action": "prioritise", "select": {"project": ["p1"]}},
            {"action": "cancel", "priority": "high", "select": {"project": ["p1"]}},
            {"action": "cancel", "select": {"project": ["p1"]}, "limit": 0},
            {"action": "cancel", "select": {"project": ["p1"]}, "limit": 201},
            {"action": "cancel", "select": {"project": ["p1"]}, "limit": "7"},
            {"action": "cancel", "select": {"project": ["p1"]}, "dry_run": "no"},
            {"action": "cancel", "select": {"project": ["p1"]}, "cursor": "e30="},
            {"action": "cancel", "select": {"ids": ["../../x"]}},
            {"action": "cancel", "select": {"ids": [UNKNOWN] * 201}},
            {"action": "cancel", "select": {"projekt": ["p1"]}},
            {"action": "cancel", "select": {"q": "\x00"}},
        ],
    )
    async def test_what_is_not_said_clearly_is_refused(self, api: Api, body: dict[str, Any]) -> None:
        task = await has(api, "a")
        answer = await api.admin("POST", "/tasks/bulk", json={"dry_run": False} | body)
        assert answer.status_code == 422, answer.text
        assert await record(api, task) == task

    async def test_everything_is_taken_only_from_who_says_so(self, api: Api) -> None:
        task = await has(api, "a")
        assert outcomes(await bulk(api, "cancel", {}, all=True, dry_run=False)) == {"a": "changed"}
        assert (await record(api, task)).phase is Phase.CANCELLED


class TestAudit:
    async def act(self, api: Api, name: str | None, body: dict[str, Any]) -> httpx.Response:
        headers = {"X-Admin-Key": "admin-key-for-tests"} | ({"X-Operator": name} if name is not None else {})
        return await api.running.http.post("/api/v1/admin/tasks/bulk", headers=headers, json=body)

    async def test_holds_who_did_what_to_which_task(self, api: Api) -> None:
        task = await has(api, "a")
        body = {"action": "cancel", "select": {"project": ["p1"]}, "dry_run": False}
        assert (await self.act(api, "Ada L.", body)).status_code == 200
        of_task, of_request = (await api.admin("GET", "/audit")).json()
        assert (of_task["action"], of_task["target"], of_task["operator"]) == ("task.cancel", task.id, "Ada L.")
        named = {"project_id": "p1", "model": "tiny-image", "attempt": 0}
        assert of_task["before"] == WAITING | named
        assert of_task["after"]["phase"] == "cancelled"
        assert (of_request["action"], of_request["target"], of_request["before"]) == ("tasks.cancel", "1 task", None)
        assert of_request["after"] == {"action": "cancel", "select": {"project": ["p1"]}, "tasks": [task.id]}
        assert of_task["correlation_id"] == of_request["correlation_id"] != ""

    @pytest.mark.parametrize("name", ["x" * 101, "a\tb", "\x1b[31m", "é"])
    async def test_a_name_is_short_and_plain(self, api: Api, name: str) -> None:
        answer = await self.act(api, name.encode("latin-1"), {"action": "cancel", "select": {}, "all": True})  # type: ignore[arg-type]
        assert answer.status_code == 422

    async def test_who_gives_no_name_is_unnamed(self, api: Api) -> None:
        await has(api, "a")
        for name in (None, "", "  "):
            body = {"action": "prioritise", "priority": "low", "select": {"project": ["p1"]}, "dry_run": False}
            assert (await self.act(api, name, body)).status_code == 200
        assert {action["operator"] for action in (await api.admin("GET", "/audit")).json()} == {"unnamed"}
