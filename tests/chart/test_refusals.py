"""What a real cluster lacks or has already: refused before anything is made, and said so that it can be put right."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.chart.helm import RELEASE
from tests.chart.kubectl import Kubectl, Refused, until
from tests.chart.tenant import DISPENSABLE, SECRETS, Tenant

MARKED = "app.kubernetes.io/name=movie-tasks"


@pytest.fixture
def nothing_is_made(tenant: Tenant) -> Iterator[Tenant]:
    """What is refused is not half installed."""
    yield tenant
    assert not tenant.everything(MARKED)


def listed(refused: Refused) -> list[str]:
    return [line.removeprefix("  - ") for line in str(refused).splitlines() if line.startswith("  - ")]


def test_secrets_that_are_not_there(nothing_is_made: Tenant) -> None:
    tenant = nothing_is_made
    tenant.kubectl("delete", "secrets", "state", "dapr-app-token")
    with pytest.raises(Refused, match="Movie Tasks cannot be installed here") as refused:
        tenant.helm.install()
    namespace = tenant.kubectl.namespace
    assert listed(refused.value) == [
        f"there is no secret state in namespace {namespace}, which state.existingSecret names",
        f"there is no secret dapr-app-token in namespace {namespace}, which dapr.appTokenSecret names",
    ]


def test_secrets_without_the_keys_that_are_needed(nothing_is_made: Tenant) -> None:
    tenant = nothing_is_made
    for secret in SECRETS:
        tenant.kubectl("patch", "secret", secret, "--type=json", '--patch=[{"op": "remove", "path": "/data"}]')
    with pytest.raises(Refused) as refused:
        tenant.helm.install()
    missing = {
        f"the secret {secret} has no {key}"
        for secret, keys in SECRETS.items()
        for key in keys
        if key not in DISPENSABLE
    }
    assert set(listed(refused.value)) == missing


def test_secrets_that_an_operator_will_make(tenant: Tenant) -> None:
    """External Secrets and Sealed Secrets make them from objects that may be applied after the chart."""
    tenant.kubectl("delete", "secrets", *SECRETS)
    tenant.helm.install({"lookForSecrets": False})


def test_a_second_release_in_the_namespace(tenant: Tenant) -> None:
    tenant.helm.install()
    before = sorted(tenant.everything(MARKED))
    with pytest.raises(Refused, match=f"the release {RELEASE} is in this namespace already") as refused:
        tenant.helm.install(release="second")
    assert "another release needs another namespace" in str(refused.value)
    assert sorted(tenant.everything(MARKED)) == before
    assert tenant.helm("list", "--all", "--short").split() == [RELEASE]


def test_a_release_with_the_longest_name(tenant: Tenant) -> None:
    """As long as Helm takes."""
    name = "the-longest-name-that-helm-takes-for-a-release-abcdef"
    tenant.helm.install(release=name)
    assert len(tenant.everything(f"app.kubernetes.io/instance={name}")) > 40


def test_a_release_of_the_same_name_in_another_namespace(new_tenant: Callable[[], Tenant]) -> None:
    for tenant in (new_tenant(), new_tenant()):
        tenant.helm.install()


@contextmanager
def without(cluster: Kubectl, definition: str) -> Iterator[None]:
    [kept] = cluster.get("customresourcedefinitions", f"--field-selector=metadata.name={definition}")
    cluster("delete", "customresourcedefinition", definition)
    try:
        yield
    finally:
        own = {key: kept["metadata"][key] for key in ("name", "annotations") if key in kept["metadata"]}
        cluster.apply({**kept, "metadata": own, "status": None})
        cluster("wait", "--for=condition=Established", f"customresourcedefinition/{definition}", "--timeout=60s")


@pytest.mark.parametrize(
    ("definition", "wanted", "said"),
    [
        ("components.dapr.io", {}, "Dapr is not in this cluster: install it first"),
        ("scaledobjects.keda.sh", {"keda": {"enabled": True, "prometheus": "http://p"}}, "KEDA is not in this cluster"),
        ("podmonitors.monitoring.coreos.com", {"podMonitor": {"enabled": True}}, "Prometheus' operator is not in this"),
        ("prometheusrules.monitoring.coreos.com", {"alerts": {"enabled": True}}, "Prometheus' operator is not in this"),
    ],
)
def test_a_cluster_without_what_is_asked_for(
    cluster: Kubectl, nothing_is_made: Tenant, definition: str, wanted: dict[str, Any], said: str
) -> None:
    with without(cluster, definition), pytest.raises(Refused, match=said):
        nothing_is_made.helm.install(wanted)


@pytest.mark.parametrize(
    "definition",
    ["scaledobjects.keda.sh", "podmonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com"],
)
def test_a_cluster_without_what_is_not_asked_for(cluster: Kubectl, tenant: Tenant, definition: str) -> None:
    with without(cluster, definition):
        tenant.helm.install(None, "--dry-run=server")


def test_a_folder_of_the_node_is_refused_where_pods_are_restricted(tenant: Tenant) -> None:
    """The namespace enforces Kubernetes' strictest standard, which the chart's own pods keep: see every other test."""
    folder = {"cache": {"volume": {"hostPath": {"path": "/mnt"}}}}
    tenant.helm.install(
        {"workers": {"image": folder, "video": {"replicas": 0}, "audio": {"replicas": 0}}}, "--wait=false"
    )

    def refused() -> list[str]:
        return [event["message"] for event in tenant.kubectl.get("events") if event["reason"] == "FailedCreate"]

    until(refused)
    assert all("-gpu-worker-image-" in message and "hostPath" in message for message in refused())
