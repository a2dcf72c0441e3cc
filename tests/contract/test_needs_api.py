"""Tasks whose inputs are the results of others, from the point of view of who asks for them, and of who should not."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from contracts.records import TaskRecords
from contracts.tasks import Fail, RequestCancel
from contracts.testing.examples import NOON, a_problem

from tests.contract.conftest import Api

UNKNOWN = "00000000-0000-0000-0000-000000000000"


async def edit_of(api: Api, task_id: str, **fields: Any) -> Any:
    inputs = {"image": {"from_task": task_id}}
    return await api.submit(**{"model": "tiny-image-edit", "inputs": inputs} | fields)


async def test_it_waits_for_the_result_of_another_task(api: Api) -> None:
    keyframe = (await api.submit()).json()
    answer = await edit_of(api, keyframe["id"])
    assert answer.status_code == 202, answer.text
    task = answer.json()
    assert (task["status"], task["phase"]) == ("pending", "blocked")
    assert (task["inputs"], task["needs"]) == ({}, {"image": keyframe["id"]})


async def test_what_is_blocked_is_no_part_of_the_queue(api: Api) -> None:
    await edit_of(api, (await api.submit()).json()["id"])
    for message in list(api.world.bus.messages):
        await api.running.deliver(message)
    queue = (await api.call("GET", "/projects/p1/queue")).json()
    assert (queue["blocked"], queue["scheduled"], queue["waiting"], len(queue["tasks"])) == (1, 0, 1, 1)


async def test_its_estimate_begins_when_the_other_is_done(api: Api) -> None:
    keyframe = (await api.submit()).json()
    task = (await edit_of(api, keyframe["id"])).json()
    for name in ("p50_at", "p90_at"):
        assert datetime.fromisoformat(keyframe["estimate"][name]) < datetime.fromisoformat(task["estimate"][name])
    api.world.clock.advance(minutes=30)
    later = (await api.call("GET", f"/tasks/{task['id']}/status")).json()
    assert datetime.fromisoformat(later["estimate"]["p50_at"]) > NOON + timedelta(minutes=30)


async def test_the_same_key_meets_the_same_task_whatever_became_of_the_other(api: Api) -> None:
    keyframe = (await api.submit()).json()
    first = await edit_of(api, keyframe["id"], idempotency_key="a")
    await api.call("DELETE", f"/tasks/{keyframe['id']}/cancel")
    again = await edit_of(api, keyframe["id"], idempotency_key="a")
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


async def fail(api: Api, task_id: str) -> None:
    await api.start(task_id)
    await api.tell(await api.tasks.change(task_id, lambda _: Fail(1, a_problem())))


class TestRefused:
    async def problem(self, api: Api, task_id: str, **fields: Any) -> dict[str, Any]:
        answer = await edit_of(api, task_id, **fields)
        assert answer.status_code == 422, answer.text
        [found] = answer.json()["errors"]
        assert found["field"] == "inputs.image"
        return dict(found)

    async def test_a_task_that_there_is_not(self, api: Api) -> None:
        assert "no such task" in (await self.problem(api, UNKNOWN))["detail"]

    async def test_a_task_of_another_project_looks_the_same(self, api: Api) -> None:
        foreign = (await api.submit(key=api.stranger)).json()["id"]
        theirs, none = await self.problem(api, foreign), await self.problem(api, UNKNOWN)
        assert theirs | {"given": None} == none | {"given": None}

    async def test_a_task_that_makes_something_else(self, api: Api) -> None:
        sound = (await api.submit(model="tiny-audio")).json()["id"]
        assert "audio, not image" in (await self.problem(api, sound))["detail"]

    async def test_one_that_has_failed_and_says_what_to_do(self, api: Api) -> None:
        keyframe = (await api.submit()).json()["id"]
        await fail(api, keyframe)
        assert "failed" in (await self.problem(api, keyframe))["detail"]

    @pytest.mark.parametrize("given", [{"from_task": "../x"}, {"from": "a"}, [], 7])
    async def test_what_names_no_task(self, api: Api, given: object) -> None:
        answer = await api.submit(model="tiny-image-edit", inputs={"image": given})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "inputs.image")


async def test_retrying_it_asks_for_the_others_result_again(api: Api) -> None:
    keyframe = (await api.submit()).json()["id"]
    task = (await edit_of(api, keyframe)).json()["id"]
    tasks = TaskRecords(api.world.state, api.world.clock)
    await tasks.change(task, lambda _found: RequestCancel())
    again = await api.call("POST", f"/tasks/{task}/retry")
    assert (again.status_code, again.json()["phase"]) == (202, "blocked")
