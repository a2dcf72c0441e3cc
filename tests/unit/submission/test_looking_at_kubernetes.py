"""Submission's looks at Kubernetes, over HTTP: what is read of what it answers, and that no answer is the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from contracts.errors import DependencyUnavailable
from contracts.testing import SettableClock
from contracts.testing.examples import NOON
from kubernetes.aio.client import Configuration
from submission.adapters import fleet as adapter
from submission.adapters.fleet import Connection, KubernetesFleet
from submission.domain.fleet import GpuNode, Place

SELECTOR = "app.kubernetes.io/component in (gpu-worker-image)"
PODS, NODES = "/api/v1/namespaces/studio/pods", "/api/v1/nodes"


@dataclass
class ApiServer:
    address: str = ""
    answers: dict[str, Any] = field(default_factory=lambda: {PODS: [], NODES: []})
    """Objects, a status, or what is no JSON."""
    hangs: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        if self.hangs:
            await asyncio.sleep(60)
        found = self.answers[request.path]
        if isinstance(found, int):
            return web.json_response({"kind": "Status"}, status=found)
        if isinstance(found, str):
            return web.Response(text=found, content_type="application/json")
        begin = int(request.query.get("continue", "0"))
        page = found[begin : begin + int(request.query["limit"])]
        following = begin + len(page)
        more = {"continue": str(following)} if following < len(found) else {}
        return web.json_response({"items": page, "metadata": more})


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    there = ApiServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", there.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    there.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield there
    await runner.cleanup()


@pytest.fixture
def looking(server: ApiServer) -> KubernetesFleet:
    connection = Connection(Configuration(host=server.address), "studio")
    return KubernetesFleet(lambda: connection, SELECTOR, SettableClock(), nodes=True)


def a_pod(name: str = "worker-1", status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": "gpu-worker-image"}
    limits = {"memory": "32Gi", "nvidia.com/gpu": "1"}
    return {
        "metadata": {"name": name, "labels": labels, "creationTimestamp": "2026-01-01T12:00:00Z", **metadata},
        "spec": {"nodeName": "gpu-0", "containers": [{"resources": {"limits": limits}}, {"name": "daprd"}]},
        "status": status or {},
    }


def conditions(**states: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": state, "message": "words"} for kind, state in states.items()]}


def waits_with(reason: str) -> dict[str, Any]:
    return conditions(PodScheduled="True", Ready="False") | {
        "containerStatuses": [{"state": {"waiting": {"reason": reason, "message": "more"}}}]
    }


OOM = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "OOMKilled"}}}


@pytest.mark.parametrize(
    ("status", "place", "said"),
    [
        ({}, Place.WAITING, None),
        (conditions(PodScheduled="False"), Place.WAITING, "words"),
        (conditions(PodScheduled="True", Ready="True"), Place.RUNNING, None),
        (waits_with("ContainerCreating"), Place.STARTING, None),
        (waits_with("ImagePullBackOff"), Place.STARTING, "ImagePullBackOff: more"),
        (conditions(PodScheduled="True") | {"containerStatuses": [OOM]}, Place.STARTING, "OOMKilled"),
        (
            conditions(PodScheduled="True") | {"containerStatuses": [{"state": {"running": {}}}]},
            Place.STARTING,
            "NotReady",
        ),
    ],
)
async def test_where_a_pod_is(
    server: ApiServer, looking: KubernetesFleet, status: dict[str, Any], place: Place, said: str | None
) -> None:
    server.answers[PODS] = [a_pod(status=status)]
    await looking.look()
    [pod] = looking.seen().pods
    assert (pod.name, pod.workers, pod.since, pod.node) == ("worker-1", "image", NOON, "gpu-0")
    assert (pod.place, pod.said, pod.gpus) == (place, said, {"nvidia.com/gpu": 1})


async def test_one_that_was_told_to_end_is_leaving(server: ApiServer, looking: KubernetesFleet) -> None:
    server.answers[PODS] = [a_pod(status=conditions(PodScheduled="True", Ready="True"), deletionTimestamp="2026")]
    await looking.look()
    assert [pod.place for pod in looking.seen().pods] == [Place.LEAVING]


async def test_nodes_are_those_with_gpus(server: ApiServer, looking: KubernetesFleet) -> None:
    ready, not_ready = conditions(Ready="True"), conditions(Ready="False")
    gpus = {"allocatable": {"cpu": "32", "nvidia.com/gpu": "2", "nvidia.com/mig-1g.10gb": "0"}}
    server.answers[NODES] = [
        {"metadata": {"name": "gpu-0"}, "status": ready | gpus},
        {"metadata": {"name": "gpu-1"}, "spec": {"unschedulable": True}, "status": ready | gpus},
        {"metadata": {"name": "gpu-2"}, "status": not_ready | gpus},
        {"metadata": {"name": "cpu-0"}, "status": ready | {"allocatable": {"cpu": "32"}}},
    ]
    await looking.look()
    of = {"nvidia.com/gpu": 2}
    assert looking.seen().nodes == [
        GpuNode("gpu-0", of, usable=True), GpuNode("gpu-1", of, usable=False), GpuNode("gpu-2", of, usable=False),
    ]  # fmt: skip
    assert looking.seen().at == NOON


async def test_only_workers_are_asked_for_and_page_by_page(server: ApiServer, looking: KubernetesFleet) -> None:
    server.answers[PODS] = [a_pod(f"worker-{number}") for number in range(adapter.AT_ONCE + 1)]
    await looking.look()
    assert len(looking.seen().pods) == adapter.AT_ONCE + 1
    assert [asked.get("labelSelector") for asked in server.asked] == [SELECTOR, SELECTOR, None]


async def test_without_the_right_to_see_nodes_pods_are_seen_all_the_same(
    server: ApiServer, looking: KubernetesFleet
) -> None:
    server.answers |= {PODS: [a_pod()], NODES: 403}
    await looking.look()
    seen = looking.seen()
    assert len(seen.pods) == 1 and seen.nodes is None
    assert seen.problems == ["Kubernetes does not show the cluster's nodes: 403 Forbidden"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (403, "Kubernetes does not show the workers' pods: 403 Forbidden"),
        (500, "Kubernetes does not show the workers' pods: 500 Internal Server Error"),
        ("<html>", "what Kubernetes answers for the workers' pods makes no sense"),
        ("{}", "what Kubernetes answers for the workers' pods makes no sense"),
        (json.dumps({"items": [None], "metadata": {}}), "what Kubernetes answers for the workers' pods makes no sense"),
        (
            json.dumps({"items": [a_pod(creationTimestamp="?")], "metadata": {}}),
            "what Kubernetes answers for the workers' pods makes no sense",
        ),
    ],
)
async def test_what_it_does_not_tell_is_said_and_tried_again(
    server: ApiServer, looking: KubernetesFleet, answer: object, problem: str
) -> None:
    server.answers[PODS] = answer
    await looking.look()
    assert looking.seen().at is None and not looking.seen().pods
    [said] = looking.seen().problems
    assert said.startswith(problem)
    server.answers[PODS] = [a_pod()]
    await looking.look()
    assert len(looking.seen().pods) == 1 and not looking.seen().problems


async def test_one_that_hangs_is_given_up(
    server: ApiServer, looking: KubernetesFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ANSWER_WITHIN_SECONDS", 0.1)
    server.hangs = True
    await looking.look()
    assert looking.seen().problems == ["Kubernetes does not answer: TimeoutError"]


def nowhere() -> Connection:
    return Connection(Configuration(host="http://127.0.0.1:9"), "studio")


def without_a_token() -> Connection:
    raise DependencyUnavailable("this process was given no token for Kubernetes: none")


@pytest.mark.parametrize(
    ("connect", "problem"),
    [(nowhere, "Kubernetes does not answer: "), (without_a_token, "this process was given no token")],
)
async def test_one_that_is_away(connect: Callable[[], Connection], problem: str) -> None:
    looking = KubernetesFleet(connect, SELECTOR, SettableClock(), nodes=False)
    assert looking.seen().problems == ["Kubernetes has not been asked yet"]
    await looking.look()
    [said] = looking.seen().problems
    assert said.startswith(problem)


def test_outside_of_a_cluster_there_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(DependencyUnavailable, match="was given no token for Kubernetes"):
        adapter.from_inside()
