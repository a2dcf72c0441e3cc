"""A namespace in which a release has all it needs, as strict about pods as Kubernetes can be."""

import itertools
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tests.chart.helm import RELEASE, ROOT, Helm
from tests.chart.kubectl import Kubectl, Object, Refused, until

SECRETS = {
    "broker": [f"MOVIE_TASKS_BROKER{name}" for name in ("S", "_AUTH", "_USER", "_PASSWORD", "_DISABLE_TLS")],
    "state": ["MOVIE_TASKS_STATE_DSN"],
    "object-store": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    "dapr-api-token": ["token"],
    "dapr-app-token": ["token"],
    "submission": ["MOVIE_TASKS_SUBMISSION_DATABASE", "MOVIE_TASKS_ADMIN_KEY"],
    "scheduling": ["MOVIE_TASKS_SCHEDULING_DATABASE"],
    "storage": ["MOVIE_TASKS_STORAGE_DATABASE", "MOVIE_TASKS_MEDIA_LINK_KEYS", "MOVIE_TASKS_PREVIEW_LINK_KEYS"],
    "notification": [
        "MOVIE_TASKS_NOTIFICATION_DATABASE",
        "MOVIE_TASKS_WEBHOOK_ENCRYPTION_KEYS",
        "MOVIE_TASKS_PREVIEW_LINK_KEYS",
    ],
}

DISPENSABLE = ("MOVIE_TASKS_PREVIEW_LINK_KEYS",)
"""Without it there are no previews."""

_numbers = itertools.count()


@dataclass(frozen=True)
class Tenant:
    kubectl: Kubectl
    helm: Helm

    def pods(self, app: str) -> list[Object]:
        return self.kubectl.get("pods", "--selector", f"app.kubernetes.io/component={app}")

    def until_running(self, app: str, count: int) -> list[Object]:
        def there() -> bool:
            pods = self.pods(app)
            return len(pods) == count and all(pod["status"].get("phase") == "Running" for pod in pods)

        until(there)
        return self.pods(app)

    def waiting(self, app: str) -> list[str]:
        """Of those pods for which there is no node, why."""
        return [
            condition["message"]
            for pod in self.pods(app)
            for condition in pod["status"].get("conditions", [])
            if condition["type"] == "PodScheduled" and condition["status"] == "False"
        ]

    def scale(self, app: str, replicas: int) -> None:
        self.kubectl("scale", f"deployment/{RELEASE}-{app}", f"--replicas={replicas}")

    def as_the_runbook_has_it(self, beginning: str) -> str:
        text = (ROOT / "k8s" / "RUNBOOK.md").read_text().replace("\\\n", "")
        [command] = re.findall(rf"^k ({beginning}.*)$", text, re.MULTILINE)
        return self.kubectl(*shlex.split(command))

    def everything(self, selector: str) -> list[str]:
        """The names of all that there is with these labels, in the namespace and in the cluster."""
        kinds: list[str] = []
        for namespaced in ("true", "false"):
            kinds += self.kubectl(
                "api-resources", "--verbs=list", "--output=name", f"--namespaced={namespaced}"
            ).splitlines()
        return self.kubectl("get", ",".join(kinds), "--selector", selector, "--output=name").splitlines()


def a_namespace(cluster: Kubectl, helm: Helm, name: str) -> Tenant:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    tenant = Tenant(replace(cluster, namespace=name), replace(helm, kubeconfig=cluster.kubeconfig, namespace=name))
    tenant.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
    return tenant


@contextmanager
def a_tenant(cluster: Kubectl, helm: Helm) -> Iterator[Tenant]:
    """In the end its releases are gone. Its namespace stays, as that of one who comes back would."""
    tenant = a_namespace(cluster, helm, f"studio-{next(_numbers)}")
    tenant.kubectl.apply(*(_secret(secret, keys) for secret, keys in SECRETS.items()))
    try:
        yield tenant
    finally:
        for release in tenant.helm("list", "--all", "--short").split():
            tenant.helm.uninstall(release)


def _secret(name: str, keys: list[str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": dict.fromkeys(keys, "nothing that anybody reads here"),
    }


def is_refused(kubectl: Kubectl, *arguments: str) -> bool:
    try:
        kubectl(*arguments)
    except Refused as refused:
        return "forbidden" in str(refused).lower()
    return False
