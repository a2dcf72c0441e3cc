"""What `GET /api/v1/workers/status` says on Kubernetes: the real adapter, with submission's own token."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from chassis.clock import SystemClock
from contracts.testing.examples import a_worker
from contracts.topics import App
from kubernetes.aio.client import Configuration
from submission.adapters.fleet import Connection, KubernetesFleet
from submission.routes.fleet import KubernetesReport

from tests.chart.control_plane import GPU_NODES
from tests.chart.helm import RELEASE, Helm, container_of, of_kind
from tests.chart.kubectl import Object, until
from tests.chart.tenant import Tenant
from tests.chart.test_installing import IMAGES_ALONE

FIVE = IMAGES_ALONE | {"workerDefaults": {"replicas": 5}}


def fleet_of(tenant: Tenant) -> KubernetesFleet:
    """As the pod of submission would make it: by its variables, with the token of its account."""
    [deployment] = [one for one in tenant.kubectl.get("deployments") if one["metadata"]["name"].endswith("-submission")]
    given = {one["name"]: one.get("value") for one in container_of(deployment)["env"]}
    [known] = yaml.safe_load(tenant.kubectl.kubeconfig.read_text())["clusters"]
    configuration = Configuration(
        host=known["cluster"]["server"], ssl_ca_cert=known["cluster"]["certificate-authority"]
    )
    token = tenant.kubectl.as_service_account(f"{RELEASE}-{App.SUBMISSION}").token
    configuration.api_key["BearerToken"] = f"Bearer {token}"
    connection = Connection(configuration, tenant.kubectl.namespace)
    nodes = given["MOVIE_TASKS_FLEET_NODES"] == "true"
    return KubernetesFleet(lambda: connection, given["MOVIE_TASKS_FLEET_PODS"] or "", SystemClock(), nodes=nodes)


async def report_of(tenant: Tenant, heard: list[str], *, named: bool = False) -> KubernetesReport:
    fleet = fleet_of(tenant)
    await fleet.look()
    workers = [a_worker(worker_id=f"{App.GPU_WORKER_IMAGE.value}-{pod}") for pod in heard]
    return KubernetesReport.of(fleet.seen(), workers, named=named)


def names(tenant: Tenant, where: Callable[[Object], bool] = bool) -> list[str]:
    return [pod["metadata"]["name"] for pod in tenant.pods(App.GPU_WORKER_IMAGE) if where(pod)]


def has_a_node(pod: Object) -> bool:
    return "nodeName" in pod["spec"]


def the_fifth_waits(tenant: Tenant) -> None:
    tenant.helm.install(FIVE, "--wait=false")
    until(lambda: len(names(tenant, has_a_node)) == 4 and len(tenant.waiting(App.GPU_WORKER_IMAGE)) == 1)
    until(lambda: len([pod for pod in tenant.pods(App.GPU_WORKER_IMAGE) if pod["status"]["phase"] == "Running"]) == 4)


async def test_the_fifth_worker_on_four_gpus_and_why_it_waits(tenant: Tenant) -> None:
    the_fifth_waits(tenant)
    report = await report_of(tenant, names(tenant, has_a_node))
    assert report.in_words == (
        "1 image worker cannot work: all 4 GPUs (nvidia.com/gpu) are taken; it starts when one is free or the pool "
        "grows."
    )
    [held] = report.held_up
    assert (held.workers, held.count) == ("image", 1)
    [pool] = [pool for pool in report.gpus or [] if pool.resource == "nvidia.com/gpu"]
    assert (pool.machines, pool.usable_machines, pool.gpus, pool.held_by_workers) == (2, 2, 4, 4)
    assert report.silent == 0 and report.pods is None

    [unheard, *heard] = names(tenant, has_a_node)
    report = await report_of(tenant, heard, named=True)
    assert report.silent == 1
    pods = {pod.name: pod for pod in report.pods or []}
    assert set(pods) == set(names(tenant)), "the workers and nobody else"
    assert pods[unheard].worker_id is None and pods[heard[0]].worker_id == f"gpu-worker-image-{heard[0]}"
    assert {pod.node for pod in pods.values()} == {None, *GPU_NODES}
    [waiting] = [pod for pod in pods.values() if pod.node is None]
    assert "Insufficient nvidia.com/gpu" in (waiting.said or "")


async def test_without_the_right_to_see_nodes_it_still_says_why(tenant: Tenant) -> None:
    tenant.helm.install(FIVE | {"fleet": {"nodes": False}}, "--wait=false")
    until(lambda: len(tenant.waiting(App.GPU_WORKER_IMAGE)) == 1)
    report = await report_of(tenant, names(tenant))
    assert report.gpus is None
    assert "all GPUs it could have are taken" in report.in_words
    account = tenant.kubectl.as_service_account(f"{RELEASE}-{App.SUBMISSION}")
    assert account.may("list", "pods") and not account.may("list", "nodes")


async def test_what_it_may_not_see_any_more_it_says(tenant: Tenant) -> None:
    tenant.helm.install(IMAGES_ALONE)
    tenant.kubectl("delete", "rolebinding", f"{RELEASE}-fleet")
    report = await report_of(tenant, names(tenant))
    assert report.as_of is None and not report.held_up
    assert report.in_words.startswith("Kubernetes does not show the workers' pods: 403 Forbidden.")


async def test_a_cluster_without_such_gpus(tenant: Tenant) -> None:
    """Services work, and say what workers wait for."""
    nowhere = {"workerDefaults": {"gpu": {"nodeSelector": {"pool": "no-such"}}}}
    tenant.helm.install(IMAGES_ALONE | nowhere, "--wait=false")
    until(lambda: tenant.waiting(App.GPU_WORKER_IMAGE))
    report = await report_of(tenant, [])
    assert report.in_words == "1 image worker cannot work: there is no machine of the kind that it is meant for."
    tenant.until_running(App.SUBMISSION, 2)


async def test_a_claim_of_a_storage_class_that_is_not_there(tenant: Tenant) -> None:
    claim = {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "no-such", "resources": {"requests": {"storage": "1Gi"}},
    }  # fmt: skip
    tenant.kubectl.apply(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": claim}
    )
    volume = {"cache": {"volume": {"persistentVolumeClaim": {"claimName": "models"}}}}
    workers = IMAGES_ALONE["workers"] | {"image": volume}
    tenant.helm.install({"workers": workers}, "--wait=false")
    until(lambda: tenant.waiting(App.GPU_WORKER_IMAGE))
    assert (await report_of(tenant, [])).in_words == "1 image worker cannot work: its disk is not there."


@pytest.mark.parametrize("change", [{"fleet": {"pods": False}}, {"fleet": {"pods": False, "nodes": True}}])
def test_it_can_be_left_out(helm: Helm, change: dict[str, Any]) -> None:
    rendered = helm.render(change)
    submission = of_kind(rendered, "Deployment")[App.SUBMISSION]
    assert submission["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert not [one for one in container_of(submission)["env"] if "FLEET" in one["name"]]
    assert not [one for one in rendered if one["metadata"]["name"].endswith("-fleet")]
    policy = of_kind(rendered, "NetworkPolicy")["kubernetes"]["spec"]["podSelector"]
    assert App.SUBMISSION.value not in policy["matchExpressions"][0]["values"]
