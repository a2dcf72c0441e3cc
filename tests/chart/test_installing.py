"""Releases on a real control plane: where pods go, what changes bring, and that nothing stays."""

import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from contracts.topics import App

from tests.chart.control_plane import CPU_NODES, GPU_NODES
from tests.chart.helm import DEPLOYMENTS, EDITORS, RELEASE, WORKERS, container_of
from tests.chart.kubectl import Kubectl, Object, Refused, until
from tests.chart.tenant import Tenant

OF_THE_RELEASE = f"app.kubernetes.io/instance={RELEASE}"
IMAGES_ALONE: dict[str, Any] = {"workers": {name: {"enabled": False} for name in ("video", "audio", "editing")}}


def test_the_api_server_takes_every_object_to_the_last_field(cluster: Kubectl, rendered: list[Object]) -> None:
    """Dapr's, KEDA's and Prometheus' too, by their own definitions."""
    assert {"Component", "Configuration", "Resiliency", "ScaledObject", "PodMonitor", "PrometheusRule"} <= {
        one["kind"] for one in rendered
    }
    cluster.apply(*rendered, dry_run=True)


@pytest.mark.parametrize(
    ("kind", "wrong", "said"),
    [
        ("Component", {"type": None}, 'missing required field "type"'),
        ("Component", {"metdata": []}, "metdata"),
        ("ScaledObject", {"maxReplicaCount": "4"}, "maxReplicaCount"),
        ("PodMonitor", {"podMetricsEndpoints": [{"port": 8000}]}, "port"),
        ("PrometheusRule", {"groups": [{"rules": []}]}, "name"),
        ("Deployment", {"replcas": 1}, "replcas"),
    ],
)
def test_and_would_not_take_a_wrong_one(
    cluster: Kubectl, rendered: list[Object], kind: str, wrong: Object, said: str
) -> None:
    one = next(found for found in rendered if found["kind"] == kind)
    spec = {key: value for key, value in (one["spec"] | wrong).items() if value is not None}
    with pytest.raises(Refused, match=said):
        cluster.apply({**one, "spec": spec}, dry_run=True)


def test_workers_are_on_gpu_nodes_and_nothing_else_is(tenant: Tenant) -> None:
    notes = tenant.helm.install()
    told = re.findall(r"^  kubectl (.*(?:rollout|get secret).*?)(?: \| .*)?$", notes, re.MULTILINE)
    assert len(told) == 2 and all(tenant.kubectl(*shlex.split(command)) for command in told)
    for app in DEPLOYMENTS:
        pods = tenant.until_running(app, 1 if app in WORKERS else 2)
        on = {pod["spec"]["nodeName"] for pod in pods}
        assert on <= set(GPU_NODES if app in WORKERS and app != EDITORS else CPU_NODES)
        if app not in WORKERS:
            assert len(on) == 2, "two replicas on one node go away together"
    assert not tenant.kubectl.get("jobs"), "the topics were made, and their job has gone"


def test_an_upgrade_and_its_rollback(tenant: Tenant) -> None:
    def image() -> str:
        [found] = [one for one in tenant.kubectl.get("deployments") if one["metadata"]["name"].endswith("-storage")]
        return str(container_of(found)["image"])

    tenant.helm.install(IMAGES_ALONE)
    first = {pod["metadata"]["name"] for pod in tenant.until_running(App.GPU_WORKER_IMAGE, 1)}
    tenant.helm.upgrade(IMAGES_ALONE | {"image": {"tag": "0.2.0"}})
    assert image().endswith("/movie-tasks-storage:0.2.0")
    second = {pod["metadata"]["name"] for pod in tenant.until_running(App.GPU_WORKER_IMAGE, 1)}
    assert not first & second
    tenant.helm("rollback", RELEASE, "1", "--wait", "--timeout=60s")
    assert image().endswith("/movie-tasks-storage:0.1.0")


def test_priorities_can_be_changed(tenant: Tenant) -> None:
    """Kubernetes lets nobody change those of a class."""
    tenant.helm.install(IMAGES_ALONE)
    tenant.helm.upgrade(IMAGES_ALONE | {"priorityClasses": {"services": 200000}})
    assert {pod["spec"]["priority"] for pod in tenant.until_running(App.STORAGE, 2)} == {200000}


def test_what_did_not_change_is_not_restarted(tenant: Tenant) -> None:
    """A worker may be in the middle of a render, which an upgrade of something else is no reason to end."""
    tenant.helm.install(IMAGES_ALONE)
    before = {pod["metadata"]["uid"] for pod in tenant.until_running(App.GPU_WORKER_IMAGE, 1)}
    tenant.helm.upgrade(IMAGES_ALONE | {"services": {"scheduling": {"settings": {"lease": 45}}}})
    assert {pod["metadata"]["uid"] for pod in tenant.until_running(App.GPU_WORKER_IMAGE, 1)} == before


def test_nothing_is_left_after_it_was_uninstalled(tenant: Tenant) -> None:
    everything = {"keda": {"enabled": True, "prometheus": "http://p"}, "podMonitor": {"enabled": True}}
    everything |= {"alerts": {"enabled": True}, "dashboards": {"enabled": True}}
    tenant.helm.install(everything | {"ingress": {"enabled": True, "host": "media.example.com"}})
    tenant.helm.upgrade(everything | {"logLevel": "DEBUG"})
    assert len(tenant.everything(OF_THE_RELEASE)) > 40
    tenant.helm.uninstall()
    until(lambda: not tenant.everything(OF_THE_RELEASE))
    assert not tenant.kubectl("get", "secrets", "--selector=owner=helm", "--output=name")


def test_the_fifth_worker_on_four_gpus_waits_and_the_scheduler_says_why(tenant: Tenant) -> None:
    tenant.helm.install(IMAGES_ALONE | {"workerDefaults": {"replicas": 4}})
    tenant.until_running(App.GPU_WORKER_IMAGE, 4)
    tenant.scale(App.GPU_WORKER_IMAGE, 5)
    until(lambda: tenant.waiting(App.GPU_WORKER_IMAGE))
    [message] = tenant.waiting(App.GPU_WORKER_IMAGE)
    assert message in tenant.as_the_runbook_has_it("get events --field-selector")
    assert "2 Insufficient nvidia.com/gpu" in message
    assert "2 node(s) didn't match Pod's node affinity/selector" in message


def test_more_important_workers_still_push_nobody_off_a_gpu(new_tenant: Callable[[], Tenant]) -> None:
    calm, urgent = new_tenant(), new_tenant()
    calm.helm.install(IMAGES_ALONE | {"workerDefaults": {"replicas": 4}})
    before = {pod["metadata"]["uid"] for pod in calm.until_running(App.GPU_WORKER_IMAGE, 4)}
    urgent.helm.install(IMAGES_ALONE | {"workerDefaults": {"replicas": 0}, "priorityClasses": {"workers": 50000}})
    urgent.scale(App.GPU_WORKER_IMAGE, 1)
    until(lambda: [event for event in urgent.kubectl.get("events") if event["reason"] == "FailedScheduling"])
    assert {pod["metadata"]["uid"] for pod in calm.until_running(App.GPU_WORKER_IMAGE, 4)} == before


def test_the_longest_name_of_a_release(tenant: Tenant) -> None:
    release = "r" * 53
    tenant.helm.install(release=release)
    [storage] = [one for one in tenant.kubectl.get("deployments") if one["metadata"]["name"].endswith("-storage")]
    assert storage["status"]["readyReplicas"] == 2
    for pod in tenant.pods(App.GPU_WORKER_VIDEO):
        assert len(pod["metadata"]["name"]) <= 63, "a host's name ends there, and replicas are told apart by it"
