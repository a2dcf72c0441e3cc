"""What a project has used, as its people see it, and as nobody else does."""

from typing import Any

import pytest
from contracts.events import task_changed
from contracts.identifiers import task_id_for
from contracts.tasks import Phase, Task
from contracts.testing.examples import a_task_in

from tests.contract.conftest import Api


async def ended(api: Api, name: str, phase: Phase, seconds: dict[Phase, float], **changes: object) -> None:
    task = a_task_in(phase, id=task_id_for("p1", name), **changes)
    await tell(api, task.model_copy(update={"phase_seconds": seconds}))


async def tell(api: Api, task: Task) -> None:
    assert await api.running.deliver(task_changed(task, "test")) == "SUCCESS"


async def usage(api: Api, **query: str) -> dict[str, Any]:
    answer = await api.call("GET", "/projects/p1/usage", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_nothing_yet(api: Api) -> None:
    found = await usage(api)
    assert (found["tasks"], found["gpu_seconds"], found["wasted_gpu_seconds"], found["by_medium"]) == ({}, 0, {}, {})


async def test_by_state_by_cause_and_by_medium(api: Api) -> None:
    await ended(api, "1", Phase.DONE, {Phase.LOADING_MODEL: 4.0, Phase.GENERATING: 6.0, Phase.QUEUED: 50.0})
    await ended(api, "2", Phase.CANCELLED, {Phase.GENERATING: 3.0})
    await ended(api, "3", Phase.FAILED, {Phase.GENERATING: 2.0}, medium="video")
    await ended(api, "4", Phase.QUEUED, {})
    found = await usage(api)
    assert found["tasks"] == {"done": 1, "cancelled": 1, "failed": 1, "pending": 1}
    assert found["gpu_seconds"] == 15
    assert found["wasted_gpu_seconds"] == {"cold_start": 4, "cancelled": 3, "failed": 2}
    assert {medium: part["gpu_seconds"] for medium, part in found["by_medium"].items()} == {"image": 13, "video": 2}
    assert found["by_medium"]["video"]["tasks"] == {"failed": 1}


async def test_hearing_twice_or_late_counts_once(api: Api) -> None:
    task = a_task_in(Phase.CANCELLED).model_copy(update={"phase_seconds": {Phase.GENERATING: 3.0}})
    for told in (task, task, a_task_in(Phase.GENERATING)):
        await tell(api, told)
    assert (await usage(api))["gpu_seconds"] == 3


async def test_of_a_time_only(api: Api) -> None:
    await ended(api, "1", Phase.CANCELLED, {Phase.GENERATING: 3.0})
    noon, later = "2026-01-01T12:00:00Z", "2026-01-01T12:00:01Z"
    assert (await usage(api, since=noon))["gpu_seconds"] == 3
    assert (await usage(api, since=later))["gpu_seconds"] == 0
    assert (await usage(api, until=later))["gpu_seconds"] == 3
    assert (await usage(api, until=noon))["gpu_seconds"] == 0


@pytest.mark.parametrize(
    ("query", "wrong"),
    [({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"), ({"since": "yesterday"}, "since")],
)
async def test_no_such_time_is_refused(api: Api, query: dict[str, str], wrong: str) -> None:
    answer = await api.call("GET", "/projects/p1/usage", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].endswith(wrong)


async def test_another_projects_is_nobodys_business(api: Api) -> None:
    await ended(api, "1", Phase.CANCELLED, {Phase.GENERATING: 3.0})
    foreign = await api.call("GET", "/projects/p1/usage", key=api.stranger)
    unknown = await api.call("GET", "/projects/p9/usage", key=api.stranger)
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    own = await api.call("GET", "/projects/p2/usage", key=api.stranger)
    assert own.json()["gpu_seconds"] == 0
