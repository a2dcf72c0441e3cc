"""Pauses as operators set them and as a project's people see them."""

import json
from typing import Any

import httpx
import pytest
from contracts.events import task_changed
from contracts.identifiers import task_id_for
from contracts.records import TaskRecords
from contracts.tasks import Phase, Task
from contracts.testing.examples import a_task_in

from tests.contract.conftest import Api


async def pause(api: Api, kind: str, target: str, reason: str = "") -> dict[str, Any]:
    answer = await api.admin("PUT", f"/pauses/{kind}/{target}", json={"reason": reason})
    assert answer.status_code == 200, answer.text
    api.world.clock.advance(seconds=6)  # what is paused is remembered for five
    found: dict[str, Any] = answer.json()
    return found


async def resume(api: Api, kind: str, target: str) -> httpx.Response:
    answer = await api.admin("DELETE", f"/pauses/{kind}/{target}")
    api.world.clock.advance(seconds=6)
    return answer


async def has(api: Api, phase: Phase = Phase.QUEUED) -> Task:
    task = a_task_in(phase, id=task_id_for("p1", phase.value))
    await TaskRecords(api.world.state, api.world.clock).create(task)
    assert await api.running.deliver(task_changed(task, "test")) == "SUCCESS"
    return task


async def targets(api: Api) -> list[str]:
    return [one["target"] for one in (await api.admin("GET", "/pauses")).json()]


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_only_operators_pause_and_resume(api: Api, key: str | None) -> None:
    await pause(api, "model", "tiny-image")
    headers = {"X-API-Key": api.key} | ({"X-Admin-Key": key} if key is not None else {})
    for method, path in (("GET", ""), ("PUT", "/medium/video"), ("DELETE", "/model/tiny-image")):
        options: dict[str, Any] = {"json": {}} if method == "PUT" else {}
        answer = await api.running.http.request(method, f"/api/v1/admin/pauses{path}", headers=headers, **options)
        assert answer.status_code == 401
    assert await targets(api) == ["tiny-image"]


@pytest.mark.parametrize(("kind", "target"), [("medium", "image"), ("model", "tiny-image"), ("project", "p1")])
async def test_a_pause_is_shown_to_whom_it_holds_up(api: Api, kind: str, target: str) -> None:
    task = await has(api)
    made = await pause(api, kind, target, "a new driver")
    assert (made["kind"], made["target"], made["by"], made["reason"]) == (kind, target, "unnamed", "a new driver")
    shown = (await api.call("GET", f"/tasks/{task.id}/status")).json()
    assert shown["paused"]["in_words"].startswith(f"{kind.capitalize()} {target} has been paused since 2026-01-01")
    assert shown["estimate"] is None, "nobody knows when somebody resumes it"
    queue = (await api.call("GET", "/projects/p1/queue")).json()
    assert [one["target"] for one in queue["paused"]] == [target]
    assert (await resume(api, kind, target)).status_code == 204
    assert await targets(api) == []
    shown = (await api.call("GET", f"/tasks/{task.id}/status")).json()
    assert shown["paused"] is None
    assert shown["estimate"] is not None


async def test_what_runs_is_not_said_to_be_paused(api: Api) -> None:
    task = await has(api, Phase.GENERATING)
    await pause(api, "medium", "image")
    assert (await api.call("GET", f"/tasks/{task.id}/status")).json()["paused"] is None


async def test_one_projects_pause_is_no_concern_of_anothers(api: Api) -> None:
    await pause(api, "project", "p1", "they owe us money")
    theirs = await api.call("GET", "/projects/p2/queue", key=api.stranger)
    assert theirs.json()["paused"] == []
    assert "money" not in theirs.text


async def test_can_be_repeated(api: Api) -> None:
    first = await pause(api, "medium", "image", "first")
    assert await pause(api, "medium", "image", "second") == first
    for _ in range(2):
        assert (await resume(api, "medium", "image")).status_code == 204
    actions = [action["action"] for action in (await api.admin("GET", "/audit")).json()]
    assert actions == ["medium.resume", "medium.pause"]


async def test_the_audit_has_before_and_after(api: Api) -> None:
    await pause(api, "project", "p1", "why")
    await resume(api, "project", "p1")
    ended, begun = (await api.admin("GET", "/audit")).json()
    assert (begun["target"], begun["before"], begun["after"]["reason"]) == ("p1", None, "why")
    assert (ended["target"], ended["before"]["reason"], ended["after"]) == ("p1", "why", None)


@pytest.mark.parametrize(
    ("kind", "target", "body", "status"),
    [
        ("medium", "smell", {}, 422),
        ("model", "sora", {}, 422),
        ("project", "p9", {}, 404),
        ("worker", "w1", {}, 422),
        ("project", "..%2fp1", {}, 404),
        ("project", "a b", {}, 422),
        ("medium", "image", {"reason": "x" * 501}, 422),
        ("medium", "image", {"reason": "\x00"}, 422),
        ("medium", "image", {"until": "never"}, 422),
    ],
)
async def test_what_cannot_be_paused_is_refused(
    api: Api, kind: str, target: str, body: dict[str, str], status: int
) -> None:
    assert (await api.admin("PUT", f"/pauses/{kind}/{target}", json=body)).status_code == status
    assert await targets(api) == []


async def test_a_reason_is_only_text(api: Api) -> None:
    hostile = "\x1b[31m{{7*7}}<script>"
    made = await pause(api, "medium", "image", hostile)
    assert json.dumps(hostile)[1:-1] in json.dumps(made["in_words"])


async def test_there_is_an_end_to_pauses(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submission.handlers.pausing.MOST_PAUSES", 1)
    await pause(api, "medium", "image")
    assert (await api.admin("PUT", "/pauses/medium/video", json={})).status_code == 429
