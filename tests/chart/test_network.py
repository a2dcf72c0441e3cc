"""Who may reach whom: what the network policies come to for each service is what the design draws, and no more."""

from typing import Any

import pytest
from contracts.topics import App

from tests.chart.helm import DEPLOYMENTS, WORKERS, Helm, of_kind
from tests.chart.kubectl import Object

TOPICS = "topics"
FRONT = (App.SUBMISSION, App.STORAGE, App.NOTIFICATION)
EGRESS: dict[str, tuple[str, ...]] = {
    "names": (*DEPLOYMENTS, TOPICS),
    "dapr": DEPLOYMENTS,
    "broker": (*DEPLOYMENTS, TOPICS),
    # Each sidecar opens the state store, and each service its own tables.
    "database": DEPLOYMENTS,
    "object-store": (App.STORAGE, *WORKERS),
    "model-hub": WORKERS,
    "collector": DEPLOYMENTS,
    # A worker marks its own pod, and submission looks at all workers'.
    "kubernetes": (App.SUBMISSION, *WORKERS),
    "webhooks": (App.NOTIFICATION,),
}
INGRESS: dict[str, tuple[str, ...]] = {"callers": FRONT, "monitoring": DEPLOYMENTS}


@pytest.fixture(scope="module")
def policies(rendered: list[Object]) -> dict[str, Object]:
    return of_kind(rendered, "NetworkPolicy")


@pytest.fixture(scope="module")
def labels(rendered: list[Object]) -> dict[str, dict[str, str]]:
    """Of the pods, by component."""
    workloads = of_kind(rendered, "Deployment") | of_kind(rendered, "Job")
    return {name: found["spec"]["template"]["metadata"]["labels"] for name, found in workloads.items()}


def selects(policy: Object, labels: dict[str, str]) -> bool:
    selector: dict[str, Any] = policy["spec"]["podSelector"]
    return all(labels.get(key) == value for key, value in selector["matchLabels"].items()) and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", ())
    )


def test_nobody_may_do_anything_that_no_policy_allows(policies: dict[str, Object], labels: dict[str, Any]) -> None:
    assert policies["nobody"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(policies["nobody"]["spec"])
    assert all(selects(policies["nobody"], of) for of in labels.values())
    assert set(policies) == {"nobody", *EGRESS, *INGRESS}


@pytest.mark.parametrize("name", [*EGRESS, *INGRESS])
def test_only_those_who_need_it(name: str, policies: dict[str, Object], labels: dict[str, Any]) -> None:
    allowed = (EGRESS | INGRESS)[name]
    assert {component for component, of in labels.items() if selects(policies[name], of)} == set(allowed)
    spec = policies[name]["spec"]
    assert spec["policyTypes"] == (["Egress"] if name in EGRESS else ["Ingress"])
    for rule in [*spec.get("egress", []), *spec.get("ingress", [])]:
        assert rule.get("ports") or rule.get("to"), "a rule that allows everything"


def test_no_service_is_called_by_another(policies: dict[str, Object]) -> None:
    """They meet at the broker: nothing lets a pod of the release in but as any other caller."""
    for policy in policies.values():
        peers = [peer for rule in policy["spec"].get("ingress", []) for peer in rule["from"]]
        assert not [peer for peer in peers if "podSelector" in peer]


def test_webhooks_leave_private_networks_alone_unless_they_are_named(helm: Helm) -> None:
    settings = {"webhook_private_hosts": ["10.8.0.0/16"], "webhook_ports": "443"}
    found = helm.render({"services": {"notification": {"settings": settings}}})
    public, private = of_kind(found, "NetworkPolicy")["webhooks"]["spec"]["egress"]
    [ipv4, ipv6] = [peer["ipBlock"] for peer in public["to"]]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(ipv4["except"])
    assert ipv6["cidr"] == "2000::/3", "unique local and link-local addresses lie outside"
    assert [port["port"] for port in public["ports"]] == [443]
    assert private == {"to": [{"ipBlock": {"cidr": "10.8.0.0/16"}}]}


def test_addresses_narrow_what_a_policy_allows(helm: Helm) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "redpanda"}}}
    found = helm.render({"networkPolicy": {"broker": {"to": [peer], "ports": [9093, 9094]}, "callers": []}})
    policies = of_kind(found, "NetworkPolicy")
    [rule] = policies["broker"]["spec"]["egress"]
    assert rule == {"to": [peer], "ports": [{"protocol": "TCP", "port": port} for port in (9093, 9094)]}
    assert "callers" not in policies


def test_they_can_be_left_out(helm: Helm) -> None:
    assert not of_kind(helm.render({"networkPolicy": {"enabled": False}}), "NetworkPolicy")
