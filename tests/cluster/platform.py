"""The platform on real pods: Dapr by its official chart, ours beside it. What they stand on runs beside the cluster."""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cluster.gateway import gateway
from cluster.plan import BUCKET, DATABASES, MODULES, STATE, Plan, Ports
from cluster.secrets_file import load_or_create
from cluster.settings import ClusterSettings
from cluster.supervisor import Supervisor
from contracts.topics import App

from tests.chart.helm import RELEASE, Helm, merged
from tests.chart.kubectl import Kubectl, Object, until
from tests.chart.tenant import Tenant, a_namespace
from tests.clients import Access, ProjectClient, a_project
from tests.cluster.images import REGISTRY, TAG
from tests.cluster.node import ADDRESS
from tests.outcomes import Outcomes

NAMESPACE = "studio"
CONTENT_SYSTEM = "payloadcms"
SIDECAR_PORT = 3500


@dataclass(frozen=True)
class Platform(Outcomes):
    underneath: Plan
    release: Tenant

    @property
    def plan(self) -> Plan:
        return self.underneath

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.plan.ports.gateway}"

    def project(self) -> AbstractAsyncContextManager[ProjectClient]:
        secrets = self.plan.secrets
        sidecar = f"http://{self.address_of('pod', CONTENT_SYSTEM)}:{SIDECAR_PORT}"
        return a_project(Access(self.api, sidecar, secrets.admin_key, secrets.tokens[App.PAYLOADCMS].dapr))

    def address_of(self, kind: str, name: str) -> str:
        path = "{.status.podIP}" if kind == "pod" else "{.spec.clusterIP}"
        return self.release.kubectl("get", kind, name, f"--output=jsonpath={path}")

    def upgrade(self, changes: Mapping[str, Any]) -> None:
        self.release.helm.upgrade(merged(values_of(self.plan), changes), "--timeout=300s")

    def until_replaced(self, app: App) -> None:
        """Until its deployment is as it should be, and nothing is left of what was before."""
        self.release.kubectl("rollout", "status", f"deployment/{RELEASE}-{app.value}", "--timeout=180s")
        until(lambda: len(self.release.pods(app)) == 1, within=120)

    async def until_workers_are_ready(self) -> None:
        async with httpx.AsyncClient(base_url=self.api) as http, asyncio.timeout(120):
            while True:
                answer = await http.get("/api/v1/health")
                if answer.is_success and answer.json()["workers_ready"].get("image"):
                    return
                await asyncio.sleep(0.5)


@contextmanager
def underneath(programs: Path) -> Iterator[Plan]:
    """Broker, Postgres and S3 server, where pods reach them. `programs` is what cluster_programs.py prints."""
    with tempfile.TemporaryDirectory(prefix="movie-tasks-") as name:
        folder = Path(name)
        # Postgres runs as a user of its own.
        folder.chmod(0o711)
        settings = ClusterSettings(host=ADDRESS, data=folder, programs=programs)
        plan = Plan(settings, load_or_create(folder, DATABASES), Ports.choose(0), ())
        with Supervisor(plan.infrastructure(), folder).running():
            yield plan


def install_dapr(helm: Helm, chart: Path) -> None:
    values = {
        "global": {"registry": f"{REGISTRY}/dapr", "tag": TAG},
        "dapr_scheduler": {"cluster": {"inMemoryStorage": True}},
        "dapr_sidecar_injector": {
            # A pod without its sidecar would be of no use. The injector's own is made before it can be asked.
            "webhookFailurePolicy": "Fail",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "sidecarDropALLCapabilities": True,
        },
    }
    helm("install", "dapr", str(chart), "--create-namespace", "--wait", "--timeout=300s", values=values)


@contextmanager
def on_pods(plan: Plan, kubectl: Kubectl, helm: Helm, caddy: Path) -> Iterator[Platform]:
    release = a_namespace(kubectl, helm, NAMESPACE)
    release.kubectl.apply(*secrets_of(plan))
    release.helm.install(values_of(plan), "--timeout=300s")
    release.kubectl.apply(content_system())
    release.kubectl("wait", "--for=condition=Ready", f"pod/{CONTENT_SYSTEM}", "--timeout=120s")
    platform = Platform(plan, release)
    upstreams = {app: [f"{platform.address_of('service', f'{RELEASE}-{app.value}')}:80"] for app in MODULES}
    with Supervisor([gateway(caddy, plan.data, plan.ports.gateway, upstreams)], plan.data).running():
        yield platform


def secrets_of(plan: Plan) -> list[Object]:
    """As the chart's README lists them."""
    secrets, store = plan.secrets, plan.object_store_environment()

    def database(service: str) -> dict[str, str]:
        return {f"MOVIE_TASKS_{service.upper()}_DATABASE": plan.database_url(service)}

    tokens = secrets.tokens[App.PAYLOADCMS]
    contents = {
        "broker": plan.broker_environment(),
        "state": {"MOVIE_TASKS_STATE_DSN": plan.database_url(STATE)},
        "object-store": {name: store[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
        "dapr-api-token": {"token": tokens.dapr},
        "dapr-app-token": {"token": tokens.app},
        "submission": database("submission") | {"MOVIE_TASKS_ADMIN_KEY": secrets.admin_key},
        "scheduling": database("scheduling"),
        "storage": database("storage") | {"MOVIE_TASKS_MEDIA_LINK_KEYS": secrets.media_link_key},
        "notification": database("notification")
        | {"MOVIE_TASKS_WEBHOOK_ENCRYPTION_KEYS": secrets.webhook_encryption_key},
    }
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content}
        for name, content in contents.items()
    ]


def values_of(plan: Plan) -> dict[str, Any]:
    """One replica of everything, asking for little: all of it is on one small node."""
    little = {"requests": {"cpu": "10m", "memory": "64Mi"}}
    ports = plan.ports
    return {
        "image": {"registry": REGISTRY, "tag": TAG},
        "models": ["tiny-image"],
        "objectStore": {
            "url": f"s3://{BUCKET}",
            "endpoint": f"http://{ADDRESS}:{ports.s3}",
            "region": plan.object_store_environment()["AWS_REGION"],
        },
        "broker": {"topics": {"replication": 1}},
        "dapr": {"sidecar": {"cpuRequest": "10m", "memoryRequest": "64Mi"}},
        "serviceDefaults": {"replicas": 1, "resources": little},
        "services": {
            "storage": {"resources": little, "scratchSize": "1Gi"},
            "notification": {"settings": {"webhook_private_hosts": f"{ADDRESS}/32"}},
        },
        "workerDefaults": {
            "gpu": {"count": 0},
            "resources": little,
            "terminationGraceSeconds": 120,
            "settings": {"worker_threads": 1, "worker_preload": ["tiny-image"]},
        },
        "workers": {name: {"enabled": False} for name in ("video", "audio", "editing")},
        "networkPolicy": {
            "broker": {"ports": [ports.broker]},
            "database": {"ports": [ports.postgres]},
            "objectStore": {"ports": [ports.s3]},
        },
    }


def content_system() -> Object:
    """A pod that only sleeps, whose sidecar publishes for whoever shows its token: what PayloadCMS does in its own."""
    annotations = {
        "dapr.io/enabled": "true",
        "dapr.io/app-id": App.PAYLOADCMS.value,
        "dapr.io/config": "movie-tasks",
        "dapr.io/api-token-secret": "dapr-api-token",
        # It would ask Kubernetes, for which the pod has no token.
        "dapr.io/disable-builtin-k8s-secret-store": "true",
        "dapr.io/sidecar-listen-addresses": "0.0.0.0",  # noqa: S104 - the pod's
        "dapr.io/sidecar-seccomp-profile-type": "RuntimeDefault",
    }
    container = {
        "name": CONTENT_SYSTEM,
        "image": f"{REGISTRY}/sandbox:{TAG}",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": CONTENT_SYSTEM, "annotations": annotations},
        "spec": {
            "securityContext": security,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        },
    }
