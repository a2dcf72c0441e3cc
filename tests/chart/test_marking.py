"""Workers mark their pods through the real API, as they would inside: their own, with nothing but the two marks."""

import json
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from contracts.errors import DependencyUnavailable
from contracts.topics import App
from gpu_worker.adapters.pod import DELETION_COST, SAFE_TO_EVICT, KubernetesPod
from gpu_worker.testing import PlaceConformance
from kubernetes.aio.client import Configuration

from tests.chart.helm import RELEASE, Helm
from tests.chart.kubectl import Kubectl, Refused
from tests.chart.tenant import Tenant, a_tenant
from tests.chart.test_scaling import FIVE

ACCOUNT = f"{RELEASE}-{App.GPU_WORKER_IMAGE}"


@pytest.fixture(scope="module")
def installed(cluster: Kubectl, helm: Helm) -> Iterator[Tenant]:
    with a_tenant(cluster, helm) as tenant:
        tenant.helm.install(FIVE | {"workers": FIVE["workers"] | {"image": {"replicas": 3}}})
        tenant.until_running(App.GPU_WORKER_IMAGE, 3)
        yield tenant


def names(tenant: Tenant) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in tenant.pods(App.GPU_WORKER_IMAGE))


def token_in(tenant: Tenant, pod: str) -> str:
    """What kubelet would put into the pod."""
    return tenant.kubectl("create", "token", ACCOUNT, "--bound-object-kind=Pod", f"--bound-object-name={pod}").strip()


def place_of(tenant: Tenant, pod: str, inside: str | None = None) -> KubernetesPod:
    """The adapter for one pod, with the token of the pod that it is in: the same, unless the test says another."""
    [known] = yaml.safe_load(tenant.kubectl.kubeconfig.read_text())["clusters"]
    configuration = Configuration(
        host=known["cluster"]["server"], ssl_ca_cert=known["cluster"]["certificate-authority"]
    )
    configuration.api_key["BearerToken"] = f"Bearer {token_in(tenant, inside or pod)}"
    return KubernetesPod(configuration, tenant.kubectl.namespace, pod)


def asked_from_inside(tenant: Tenant, pod: str, verb: str, body: dict[str, Any], what: str = "") -> httpx.Response:
    [known] = yaml.safe_load(tenant.kubectl.kubeconfig.read_text())["clusters"]
    trusted = ssl.create_default_context(cafile=known["cluster"]["certificate-authority"])
    headers = {"Authorization": f"Bearer {token_in(tenant, pod)}", "Content-Type": "application/merge-patch+json"}
    url = f"{known['cluster']['server']}/api/v1/namespaces/{tenant.kubectl.namespace}/pods/{pod}{what}"
    with httpx.Client(verify=trusted, trust_env=False) as http:
        return http.request(verb, url, headers=headers, content=json.dumps(body))


def annotations(tenant: Tenant, pod: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tenant.kubectl("get", "pod", pod, "--output=json"))["metadata"]["annotations"]
    return found


class TestKubernetesPod(PlaceConformance):
    @pytest.fixture
    def place(self, installed: Tenant) -> KubernetesPod:
        return place_of(installed, names(installed)[0])

    @pytest.fixture
    def is_busy(self, installed: Tenant) -> Callable[[], Awaitable[bool]]:
        async def looks() -> bool:
            found = annotations(installed, names(installed)[0])
            return (found.get(DELETION_COST), found.get(SAFE_TO_EVICT)) == ("1000", "false")

        return looks


async def test_idle_leaves_no_mark_and_everything_else_as_it_was(installed: Tenant) -> None:
    pod = names(installed)[1]
    before = annotations(installed, pod)
    place = place_of(installed, pod)
    await place.mark(busy=True)
    assert annotations(installed, pod) == before | {DELETION_COST: "1000", SAFE_TO_EVICT: "false"}
    await place.mark(busy=False)
    assert annotations(installed, pod) == before


async def test_another_pod_cannot_be_marked(installed: Tenant) -> None:
    """Whoever breaks into a worker cannot keep the others from being removed, or have them removed first."""
    mine, other = names(installed)[:2]
    with pytest.raises(DependencyUnavailable, match="refuses to mark the pod: 422"):
        await place_of(installed, other, inside=mine).mark(busy=True)
    assert DELETION_COST not in annotations(installed, other)


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"labels": {"app.kubernetes.io/component": "storage"}}},
        {"metadata": {"annotations": {"dapr.io/app-id": "storage"}}},
        {"metadata": {"annotations": {"dapr.io/app-id": None}}},
        {"metadata": {"annotations": {DELETION_COST: "1000", "another": "one"}}},
        {"metadata": {"finalizers": ["evil.example.com/stay"]}},
        {"metadata": {"ownerReferences": []}},
        {"spec": {"activeDeadlineSeconds": 1}},
    ],
    ids=json.dumps,
)
def test_nothing_else_of_its_own_pod_can_be_changed(installed: Tenant, patch: dict[str, Any]) -> None:
    answer = asked_from_inside(installed, names(installed)[2], "PATCH", patch)
    assert answer.status_code == 422
    assert "a worker may change the marks of its pod only" in answer.text


def test_and_its_status_is_not_its_to_tell(installed: Tenant) -> None:
    answer = asked_from_inside(installed, names(installed)[2], "PATCH", {"status": {"phase": "Failed"}}, "/status")
    assert answer.status_code == 403


@pytest.mark.parametrize("app", [App.SUBMISSION, App.STORAGE])
def test_services_cannot_mark_anything(installed: Tenant, app: App) -> None:
    account = installed.kubectl.as_service_account(f"{RELEASE}-{app}")
    with pytest.raises(Refused, match="forbidden"):
        account("annotate", "pod", names(installed)[0], f"{DELETION_COST}=1")


async def test_an_api_server_that_is_not_there_is_away(installed: Tenant) -> None:
    with pytest.raises(DependencyUnavailable, match="Kubernetes does not answer"):
        await KubernetesPod(Configuration(host="https://127.0.0.1:9"), "default", "pod").mark(busy=True)


def test_from_inside_it_takes_what_kubelet_gives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for name, text in {"token": "secret", "ca.crt": "certificate", "namespace": "studio"}.items():
        (tmp_path / name).write_text(text)
    loader = "kubernetes.aio.config.incluster_config"
    monkeypatch.setattr(f"{loader}.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(f"{loader}.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr("gpu_worker.adapters.pod.NAMESPACE", tmp_path / "namespace")
    assert KubernetesPod.from_inside("worker-1") is not None


async def test_from_five_to_two_the_two_that_marked_themselves_stay(tenant: Tenant) -> None:
    tenant.helm.install(FIVE)
    tenant.until_running(App.GPU_WORKER_IMAGE, 5)
    everybody = names(tenant)
    for pod in everybody:
        await place_of(tenant, pod).mark(busy=pod in everybody[1:4:2])
    shown = tenant.as_the_runbook_has_it(
        "get pods --selector app.kubernetes.io/component=gpu-worker-image"
    ).splitlines()[1:]
    assert {pod for pod, cost in map(str.split, shown) if cost == "1000"} == set(everybody[1:4:2])
    tenant.scale(App.GPU_WORKER_IMAGE, 2)
    tenant.until_running(App.GPU_WORKER_IMAGE, 2)
    assert names(tenant) == everybody[1:4:2]


def test_without_the_mark_a_worker_has_no_rights(new_tenant: Callable[[], Tenant]) -> None:
    tenant = new_tenant()
    tenant.helm.install({"markBusyWorkers": False, "fleet": {"pods": False, "nodes": False}})
    for kind in ("roles", "rolebindings"):
        assert not tenant.kubectl.get(kind)
    assert not tenant.kubectl.as_service_account(ACCOUNT).may("patch", "pods")
