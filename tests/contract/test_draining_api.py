"""Operators have workers take no more work."""

import pytest
from contracts.events import DrainRequested, worker_heartbeat
from contracts.testing.examples import a_worker
from contracts.topics import TASK_CONTROL

from tests.contract.conftest import Api

WORKER = "gpu-worker-image-0"


async def heard(api: Api) -> None:
    worker = a_worker(worker_id=WORKER, sent_at=api.world.clock.now())
    assert await api.running.deliver(worker_heartbeat(worker, "test")) == "SUCCESS"


def told(api: Api) -> list[DrainRequested]:
    control = [message for message in api.world.bus.messages if message.topic is TASK_CONTROL]
    return [DrainRequested.model_validate(message.event.data) for message in control]


@pytest.mark.parametrize("key", [None, "wrong"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_only_operators_drain(api: Api, method: str, key: str | None) -> None:
    await heard(api)
    headers = {"X-API-Key": api.key} | ({"X-Admin-Key": key} if key is not None else {})
    answer = await api.running.http.request(method, f"/api/v1/admin/workers/{WORKER}/drain", headers=headers)
    assert answer.status_code == 401
    assert told(api) == []


async def test_the_worker_is_told_and_told_again(api: Api) -> None:
    await heard(api)
    answer = await api.admin("PUT", f"/workers/{WORKER}/drain")
    assert (answer.status_code, answer.json()["worker_id"]) == (202, WORKER)
    assert (await api.admin("DELETE", f"/workers/{WORKER}/drain")).status_code == 202
    assert [(one.worker_id, one.drain, one.by) for one in told(api)] == [
        (WORKER, True, "unnamed"),
        (WORKER, False, "unnamed"),
    ]
    resumed, drained = (await api.admin("GET", "/audit")).json()
    assert (drained["action"], drained["target"], drained["before"]["state"]) == ("worker.drain", WORKER, "ready")
    assert (resumed["action"], resumed["after"]) == ("worker.resume", {"told_to_drain": False})


@pytest.mark.parametrize("worker_id", ["nobody", "..%2f..", "x" * 500, "%00"])
async def test_who_was_not_heard_of_is_not_found(api: Api, worker_id: str) -> None:
    assert (await api.admin("PUT", f"/workers/{worker_id}/drain")).status_code == 404
    assert told(api) == []


async def test_workers_are_listed_with_what_they_run(api: Api) -> None:
    await heard(api)
    assert [one["worker_id"] for one in (await api.admin("GET", "/workers")).json()] == [WORKER]
