"""What a pod of the release could do to the cluster, tried with the token that it would have: next to nothing."""

import re
from collections.abc import Iterator

import pytest
from contracts.topics import App

from tests.chart.helm import DEPLOYMENTS, RELEASE, WORKERS, Helm
from tests.chart.kubectl import Kubectl
from tests.chart.tenant import Tenant, a_tenant, is_refused


@pytest.fixture(scope="module")
def installed(cluster: Kubectl, helm: Helm) -> Iterator[Tenant]:
    with a_tenant(cluster, helm) as tenant:
        tenant.helm.install()
        yield tenant


MAY: dict[str, set[tuple[str, ...]]] = {
    # Its look at the workers.
    App.SUBMISSION: {("pods", "[]", "[]", "[list]"), ("nodes", "[]", "[]", "[list]")},
    # Its marks on its own pod.
    **{app: {("pods", "[]", "[]", "[patch]")} for app in WORKERS},
}


@pytest.mark.parametrize("app", DEPLOYMENTS)
def test_a_service_account_may_do_next_to_nothing(installed: Tenant, app: str) -> None:
    """All else that it may is what anybody may who has shown who they are."""
    account = installed.kubectl.as_service_account(f"{RELEASE}-{app}")
    anybody = installed.kubectl.as_service_account("default")
    assert rights(account) - rights(anybody) == MAY.get(app, set())
    assert not anybody.may("*", "*") and not anybody.may("get", "secrets")


def rights(account: Kubectl) -> set[tuple[str, ...]]:
    """Resources, addresses, names and verbs."""
    return {tuple(re.split(r"\s{2,}", line.strip())) for line in account("auth", "can-i", "--list").splitlines()}


@pytest.mark.parametrize("app", [App.SUBMISSION, App.GPU_WORKER_VIDEO])
def test_and_is_refused_when_it_tries(installed: Tenant, app: App) -> None:
    account = installed.kubectl.as_service_account(f"{RELEASE}-{app}")
    assert is_refused(account, "get", "secret", "state")
    assert is_refused(account, "get", "pods", "--namespace=kube-system")
    assert is_refused(account, "get", "pods") is (app is not App.SUBMISSION)
    assert is_refused(account, "scale", f"deployment/{RELEASE}-{app}", "--replicas=0")
    assert is_refused(account, "create", "token", f"{RELEASE}-{App.STORAGE}")


def test_what_submission_sees_it_sees_from_afar(installed: Tenant) -> None:
    """Lists of pods and nodes, and neither their logs nor a shell in them, nor anybody else's anything."""
    account = installed.kubectl.as_service_account(f"{RELEASE}-{App.SUBMISSION}")
    [pod, *_] = installed.pods(App.STORAGE)
    name = pod["metadata"]["name"]
    assert account.get("pods") and account.get("nodes")
    for tried in (
        ("get", "pod", name), ("logs", name), ("delete", "pod", name), ("annotate", "pod", name, "a=b"),
        ("annotate", "node", "gpu-0", "a=b"), ("cordon", "gpu-0"), ("get", "configmaps"), ("get", "deployments"),
        ("get", "events"), ("get", "--raw", "/api/v1/watch/nodes"),
    ):  # fmt: skip
        assert is_refused(account, *tried), tried


def test_only_those_who_have_rights_are_given_a_token(installed: Tenant) -> None:
    for pod in installed.kubectl.get("pods"):
        tokens = [volume for volume in pod["spec"]["volumes"] if "projected" in volume]
        assert len(tokens) == (pod["metadata"]["labels"]["app.kubernetes.io/component"] in MAY)
