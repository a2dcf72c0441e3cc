"""Replaying a done task, from the point of view of who asks for it."""

import asyncio
from typing import Any

import httpx
import pytest
from contracts.records import media_records
from contracts.tasks import Task
from contracts.testing.examples import a_task, media_result
from contracts.topics import task_key

from tests.contract.conftest import Api


async def replay(api: Api, task_id: str, idempotency_key: str | None = None, **options: Any) -> httpx.Response:
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    return await api.call("POST", f"/tasks/{task_id}/replay", headers=headers, **options)


async def done(api: Api, **request: Any) -> Task:
    """A task that was submitted and has its result."""
    return await api.finish((await api.submit(**request)).json()["id"])


async def save(api: Api, task: Task) -> None:
    """The record as somebody with the state store in his hands would leave it."""
    found = await api.world.state.get(task_key(task.id))
    assert found is not None
    await api.world.state.replace(task_key(task.id), task.model_dump_json().encode(), found.etag)


async def test_a_done_task_is_asked_for_again_as_a_new_one(api: Api) -> None:
    original = await done(api, title="Opening shot", tags=["hero"], client_ref="cms-1", priority="high")
    assert original.result is not None
    answer = await replay(api, original.id)
    assert answer.status_code == 202, answer.text
    task = answer.json()
    assert answer.headers["location"] == task["links"]["status"] == f"/api/v1/tasks/{task['id']}/status"
    assert task["id"] != original.id
    assert (task["status"], task["project_id"], task["model"]) == ("pending", "p1", original.model)
    assert (task["params"], task["inputs"]) == (original.params, {})
    assert (task["title"], task["tags"]) == ("Opening shot", ["hero"])
    assert (task["client_ref"], task["priority"]) == (None, "medium")
    assert task["replay_of"] == {"task_id": original.id, "media_id": original.result.id}
    assert task["replay"] is None
    assert api.world.bus.types[-1] == "task.accepted.v1"
    assert (await api.call("GET", f"/tasks/{task['id']}/status")).json() == {**task, "paused": None}


async def test_without_a_key_every_replay_is_a_task_and_with_one_they_are_the_same(api: Api) -> None:
    original = await done(api)
    assert (await replay(api, original.id)).json()["id"] != (await replay(api, original.id)).json()["id"]
    first, second = await replay(api, original.id, "again"), await replay(api, original.id, "again")
    assert first.json() == second.json()


async def test_two_at_once_with_the_same_key_make_one_task(api: Api) -> None:
    original = await done(api)
    answers = await asyncio.gather(*(replay(api, original.id, "again") for _ in range(5)))
    assert [answer.status_code for answer in answers] == [202] * 5
    assert len({answer.json()["id"] for answer in answers}) == 1
    listed = (await api.call("GET", "/projects/p1/tasks")).json()["items"]
    assert {task["id"] for task in listed} == {original.id, answers[0].json()["id"]}
    assert api.world.bus.types == ["task.accepted.v1"] * 2


async def test_a_key_that_was_used_for_something_else_is_refused(api: Api) -> None:
    one, other = await done(api, idempotency_key="submitted"), await done(api)
    await replay(api, one.id, "again")
    for task_id, key in ((other.id, "again"), (one.id, "submitted")):
        answer = await replay(api, task_id, key)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-mismatch")


async def test_only_what_is_done_can_be_replayed(api: Api) -> None:
    task_id = (await api.submit()).json()["id"]
    answer = await replay(api, task_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal-transition")
    await api.call("DELETE", f"/tasks/{task_id}/cancel")
    answer = await replay(api, task_id)
    assert answer.status_code == 409
    assert "cancelled" in answer.json()["detail"]


async def test_another_projects_task_is_not_found(api: Api) -> None:
    original = await done(api)
    answer = await replay(api, original.id, key=api.stranger)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert (await api.call("GET", "/projects/p2/tasks", key=api.stranger)).json()["items"] == []


async def test_a_replay_of_a_replay_points_to_the_task_it_names(api: Api) -> None:
    original = await done(api)
    again = await api.finish((await replay(api, original.id)).json()["id"])
    assert again.result is not None
    found = (await replay(api, again.id)).json()
    assert found["replay_of"] == {"task_id": again.id, "media_id": again.result.id}


async def test_inputs_are_looked_up_again(api: Api) -> None:
    own = media_result(a_task(project_id="p1"))
    foreign = media_result(a_task(project_id="p2"))
    for media in (own, foreign):
        await media_records(api.world.state).create(media.id, media)
    original = await done(api, model="tiny-image-edit", inputs={"image": own.id})
    assert (await replay(api, original.id)).json()["inputs"] == {"image": own.id}

    assert original.produced is not None
    provenance = original.produced.provenance.model_copy(update={"inputs": {"image": foreign.id}})
    produced = original.produced.model_copy(update={"provenance": provenance})
    await save(api, original.model_copy(update={"produced": produced}))
    answer = await replay(api, original.id)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "inputs.image")


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"model": "left-the-catalog"}, "model"), ({"params": {"prompt": "x", "width": 4096}}, "params.width")],
)
async def test_what_the_catalog_no_longer_offers_is_refused(api: Api, changes: dict[str, Any], field: str) -> None:
    original = await done(api)
    assert original.produced is not None
    provenance = original.produced.provenance.model_copy(update=changes)
    produced = original.produced.model_copy(update={"provenance": provenance})
    await save(api, original.model_copy(update={"produced": produced}))
    answer = await replay(api, original.id)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert [problem["field"] for problem in answer.json()["errors"]] == [field]


async def test_a_suspended_project_replays_nothing(api: Api) -> None:
    original = await done(api)
    await api.admin("PATCH", "/projects/p1", json={"active": False})
    answer = await replay(api, original.id)
    assert (answer.status_code, answer.json()["code"]) == (403, "project-inactive")


async def test_nobody_submits_a_replay_by_himself(api: Api) -> None:
    original = await done(api)
    assert original.result is not None
    forged = {"task_id": original.id, "media_id": original.result.id}
    answer = await api.submit(replay_of=forged)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "replay_of")
