"""How the platform is: open to projects, and its health to anybody."""

from contracts.events import worker_heartbeat
from contracts.testing.examples import NOON, a_worker

from tests.contract.conftest import Api

UNKNOWN = "00000000-0000-0000-0000-000000000000"


async def test_health_needs_no_key(api: Api) -> None:
    answer = await api.running.http.get("/api/v1/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_workers_are_those_heard_lately_and_do_not_tell_whose_tasks_they_run(api: Api) -> None:
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


async def test_models_are_the_catalogs(api: Api) -> None:
    await api.running.deliver(worker_heartbeat(a_worker(warm_models=["tiny-image"]), "gpu-worker-image"))
    models = {model["key"]: model for model in (await api.call("GET", "/models")).json()}
    assert set(models) == {entry.key for entry in api.world.catalog.models}
    assert models["tiny-image"]["parameters"]["width"]["max"] == 256
    assert (models["tiny-image"]["warm"], models["tiny-image"]["workers"]) == (True, 1)
