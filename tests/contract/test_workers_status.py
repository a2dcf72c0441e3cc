"""Who is told what of the workers' pods."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from contracts.events import worker_heartbeat
from contracts.testing.examples import NOON, a_worker
from submission.app import create_beside
from submission.domain.fleet import GpuNode, Place, Sight, WorkerPod
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, Running, Serve, World
from tests.contract.conftest import Api

GPU = "nvidia.com/gpu"
SIGHT = Sight(
    NOON,
    [
        WorkerPod("mt-image-1", "image", Place.RUNNING, NOON, "node-of-a-rival", {GPU: 1}),
        WorkerPod(
            "mt-image-2", "image", Place.WAITING, NOON, None, {GPU: 1}, "0/1 nodes: 1 Insufficient nvidia.com/gpu"
        ),
    ],
    [GpuNode("node-of-a-rival", {GPU: 1}, usable=True)],
)


class Seen:
    """A fleet that is as the test says."""

    sight = SIGHT

    def seen(self) -> Sight:
        return self.sight


@pytest.fixture
async def running(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Running]:
    settings = SubmissionSettings(
        admin_key=ADMIN_KEY, submission_database=database_url("submission"), media_url="memory:///", replica="test"
    )
    async with serve([create_beside(Seen(), settings, world.outside)]) as running:
        worker = a_worker(worker_id="gpu-worker-image-mt-image-1", sent_at=NOON)
        await running.deliver(worker_heartbeat(worker, "gpu-worker-image"))
        yield running


async def asked(running: Running, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await running.http.get("/api/v1/workers/status", headers=sent)


async def test_a_project_is_told_what_holds_workers_up_and_no_names(running: Running, world: World) -> None:
    answer = await asked(running, X_API_Key=await world.add_project("p1", "k1"))
    report = answer.json()["kubernetes"]
    assert report["in_words"].startswith("1 image worker cannot work: the only GPU (nvidia.com/gpu) is taken")
    assert report["held_up"][0] | {"in_words": ""} == {
        "workers": "image", "count": 1, "since": "2026-01-01T12:00:00Z", "in_words": "",
    }  # fmt: skip
    assert report["gpus"] == [{"resource": GPU, "machines": 1, "usable_machines": 1, "gpus": 1, "held_by_workers": 1}]
    assert report["pods"] is None
    assert not [name for name in ("mt-image-2", "node-of-a-rival", "0/1 nodes") if name in answer.text]


async def test_the_operator_is_told_names_and_kubernetes_own_words(running: Running) -> None:
    pods = (await asked(running, X_Admin_Key=ADMIN_KEY)).json()["kubernetes"]["pods"]
    assert [(pod["name"], pod["worker_id"], pod["node"], pod["place"]) for pod in pods] == [
        ("mt-image-1", "gpu-worker-image-mt-image-1", "node-of-a-rival", "running"),
        ("mt-image-2", None, None, "waiting"),
    ]
    assert pods[1]["said"] == "0/1 nodes: 1 Insufficient nvidia.com/gpu"


@pytest.mark.parametrize("headers", [{}, {"X_Admin_Key": "no"}, {"X_API_Key": "no"}, {"X_API_Key": ADMIN_KEY}])
async def test_nobody_else_is_told_anything(running: Running, headers: dict[str, str]) -> None:
    answer = await asked(running, **headers)
    assert answer.status_code == 401 and "image" not in answer.text


async def test_a_wrong_operators_key_is_not_made_good_by_a_projects(running: Running, world: World) -> None:
    key = await world.add_project("p1", "k1")
    assert (await asked(running, X_API_Key=key, X_Admin_Key="no")).status_code == 401


async def test_while_kubernetes_says_nothing_workers_are_told_of_all_the_same(
    running: Running, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Seen, "sight", Sight(problems=["Kubernetes does not answer: away"]))
    report = (await asked(running, X_API_Key=await world.add_project("p1", "k1"))).json()
    assert report["by_state"] == {"ready": 1}
    assert report["kubernetes"]["as_of"] is None
    assert report["kubernetes"]["in_words"].startswith("Kubernetes does not answer: away.")


async def test_outside_of_kubernetes_nothing_is_said_of_it(api: Api) -> None:
    assert (await api.call("GET", "/workers/status")).json()["kubernetes"] is None
