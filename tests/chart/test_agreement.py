"""The chart says the same as the code: apps, components, topics' scopes, settings, probes and routes."""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

import pytest
import yaml
from chassis.settings import ProcessSettings, SidecarSettings
from cluster.gateway import ROUTES
from contracts.catalog import read_catalog
from contracts.pauses import Pauses
from contracts.testing import SettableClock
from contracts.topics import SERVICES, STATE_STORE, App, Component
from contracts.views import API
from gpu_worker.settings import WorkerSettings
from notification.settings import NotificationSettings
from pydantic_settings import BaseSettings
from scheduling.adapters.backlog_metrics import QUEUED, BacklogMetrics
from scheduling.adapters.queue import SqlQueue
from scheduling.domain.budgets import Terms
from scheduling.ports import Backlog
from scheduling.settings import SchedulingSettings
from storage.settings import StorageSettings
from submission.settings import SubmissionSettings

from tests.chart.helm import CHART, DEPLOYMENTS, EDITORS, NEEDED, ROOT, WORKERS, container_of, of_kind
from tests.chart.kubectl import Object

SETTINGS: dict[str, type[ProcessSettings]] = {
    App.SUBMISSION: SubmissionSettings,
    App.SCHEDULING: SchedulingSettings,
    App.STORAGE: StorageSettings,
    App.NOTIFICATION: NotificationSettings,
    **dict.fromkeys(WORKERS, WorkerSettings),
}
LIBRARIES_OWN = {
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "HF_HOME",
    "HF_TOKEN",
}
"""Read by obstore, as services/cluster sets them, and by huggingface_hub."""
DISTRIBUTED = CHART / "dapr"


def read_by(settings: type[BaseSettings]) -> set[str]:
    prefix = settings.model_config.get("env_prefix", "")
    return {f"{prefix}{name}".upper() for name in settings.model_fields}


def variables(container: Object) -> dict[str, Object]:
    found = {one["name"]: one for one in container["env"]}
    assert len(found) == len(container["env"]), "a variable twice"
    return found


def distributed(name: str) -> Object:
    found: Object = yaml.safe_load((DISTRIBUTED / f"{name}.yaml").read_text())
    return found


def test_each_app_has_a_deployment_and_is_called_by_its_name(deployments: dict[str, Object]) -> None:
    """Whoever makes one medium is one app: topics and scopes go by it."""
    assert set(deployments) == set(DEPLOYMENTS)
    for app, deployment in deployments.items():
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        assert annotations["dapr.io/app-id"] == {EDITORS: App.GPU_WORKER_VIDEO}.get(app, app)
        port = variables(container_of(deployment))["MOVIE_TASKS_PORT"]["value"]
        assert annotations["dapr.io/app-port"] == port


@pytest.mark.parametrize("app", DEPLOYMENTS)
def test_each_variable_is_a_setting_of_the_service(app: str, deployments: dict[str, Object]) -> None:
    known = read_by(SETTINGS[app]) | read_by(SidecarSettings) | LIBRARIES_OWN
    pod = deployments[app]["spec"]["template"]["spec"]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert set(variables(container)) <= known


@pytest.mark.parametrize("app", DEPLOYMENTS)
def test_a_service_gets_all_it_cannot_do_without(app: str, deployments: dict[str, Object]) -> None:
    given = variables(container_of(deployments[app]))
    for settings in (SETTINGS[app], SidecarSettings):
        required = {name for name, field in settings.model_fields.items() if field.is_required()}
        prefix = settings.model_config.get("env_prefix", "")
        assert {f"{prefix}{name}".upper() for name in required} <= set(given)
    # The default is a file, which no two replicas share.
    databases = {f"MOVIE_TASKS_{name}".upper() for name in SETTINGS[app].model_fields if name.endswith("_database")}
    assert all("valueFrom" in given[name] for name in databases)


def test_operators_have_one_key(deployments: dict[str, Object]) -> None:
    """Of submission's secret, which is all of it that notification sees."""
    keys = {app: variables(container_of(deployments[app])).get("MOVIE_TASKS_ADMIN_KEY") for app in DEPLOYMENTS}
    assert {app for app, found in keys.items() if found is not None} == {App.SUBMISSION, App.NOTIFICATION}
    assert keys[App.SUBMISSION] == keys[App.NOTIFICATION]


@pytest.mark.parametrize("app", DEPLOYMENTS)
def test_what_is_secret_comes_from_a_secret(app: str, deployments: dict[str, Object]) -> None:
    words = ("KEY", "TOKEN", "DATABASE", "SECRET", "PASSWORD", "HEADERS")
    for name, variable in variables(container_of(deployments[app])).items():
        assert ("secretKeyRef" in variable.get("valueFrom", {})) == any(word in name for word in words), name
        assert ("value" in variable) != ("valueFrom" in variable)


@pytest.mark.parametrize("app", SERVICES)
def test_the_schema_takes_the_settings_that_the_service_reads(app: App) -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    workers = app not in NEEDED["services"]
    of = schema["definitions"]["worker"] if workers else schema["properties"]["services"]["properties"][app.value]
    own = set(SETTINGS[app].model_fields) - set(ProcessSettings.model_fields)
    of_workers = {f"worker_{name}" for name in ("medium", "models_folder", "scratch", "grace", "pod")}
    set_by_the_chart = {"storage_scratch", "fleet_pods", "fleet_nodes"} | of_workers
    secret = {f"{app.value}_database", "admin_key", "media_link_keys", "preview_link_keys", "webhook_encryption_keys"}
    assert set(of["properties"]["settings"]["properties"]) == own - set_by_the_chart - secret


def test_components_are_those_of_the_distributed_platform(rendered: list[Object]) -> None:
    found = of_kind(rendered, "Component")
    assert set(found) == {*Component, STATE_STORE}
    for name, component in found.items():
        there = distributed(name)
        assert component["scopes"] == there["scopes"]
        assert _without_secret_names(component["spec"]) == _without_secret_names(there["spec"])
        assert component["auth"] == {"secretStore": "kubernetes"}
        secret = "state" if name == STATE_STORE else "broker"
        refs = [item["secretKeyRef"] for item in component["spec"]["metadata"] if "secretKeyRef" in item]
        assert refs and {ref["name"] for ref in refs} == {secret}


def test_resiliency_is_that_of_the_distributed_platform(rendered: list[Object]) -> None:
    [resiliency] = of_kind(rendered, "Resiliency").values()
    assert resiliency["spec"] == distributed("resiliency")["spec"]


def test_a_sidecar_may_do_what_it_may_there_and_nobody_may_call_it(
    rendered: list[Object], deployments: dict[str, Object]
) -> None:
    [configuration] = [found for found in rendered if found["kind"] == "Configuration"]
    there = distributed("config")["spec"]
    for key in ("features", "api", "metric"):
        assert configuration["spec"][key] == there[key]
    assert configuration["spec"]["accessControl"]["defaultAction"] == "deny"
    [scope] = configuration["spec"]["secrets"]["scopes"]
    assert scope == {"storeName": "kubernetes", "defaultAccess": "deny"}
    for deployment in deployments.values():
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        assert annotations["dapr.io/config"] == configuration["metadata"]["name"]


def test_subscriptions_stay_in_the_code(rendered: list[Object]) -> None:
    """daprd asks each process; declared a second time they would be delivered twice or not at all."""
    assert not [found for found in rendered if found["kind"] == "Subscription"]


def test_topics_are_made_from_the_variables_that_their_program_reads(rendered: list[Object]) -> None:
    [job] = of_kind(rendered, "Job").values()
    program = (ROOT / "dapr-components" / "topics" / "create_topics.py").read_text()
    names = set(variables(container_of(job)))
    assert all(f'"{name}"' in program for name in names)
    components = {ref["key"] for name in Component for ref in _secret_refs(distributed(name))}
    assert components <= names


def test_an_ingress_sends_requests_where_the_gateway_does(rendered: list[Object]) -> None:
    [ingress] = of_kind(rendered, "Ingress").values()
    [rule] = ingress["spec"]["rules"]
    sent = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    for app, paths in ROUTES.items():
        for path in paths:
            assert sent[path.removesuffix("/*")] == f"movie-tasks-{app.value}"
    assert sent["/api"] == "movie-tasks-submission" and API.startswith("/api/")
    assert set(sent.values()) <= {f"movie-tasks-{name}" for name in of_kind(rendered, "Service")}


def test_workers_are_scaled_by_what_scheduling_says(rendered: list[Object]) -> None:
    scaled = of_kind(rendered, "ScaledObject")
    # Editing starts no GPU, and what needs a GPU starts no editor.
    of = {EDITORS: ("video", '=~"mux|concat"'), App.GPU_WORKER_VIDEO: ("video", '!~"mux|concat"')}
    assert set(scaled) == set(WORKERS)
    for name in WORKERS:
        found = scaled[name]["spec"]
        assert found["scaleTargetRef"] == {"name": f"movie-tasks-{name}"}
        assert found["fallback"]["behavior"] == "currentReplicasIfHigher", "who renders while nothing is known stays"
        [trigger] = found["triggers"]
        of_medium = r'\{namespace="default",medium="(\w+)"(?:,model([^,}]+))?(?:,state="(\w+)")?\}'
        asked = re.findall(rf"sum\(max by \(model\) \((movie_tasks_\w+){of_medium}\)\)", trigger["metadata"]["query"])
        medium, models = of.get(name, (name.rpartition("-")[2], ""))
        assert asked == [
            ("movie_tasks_backlog_gpu_seconds", medium, models, QUEUED),
            ("movie_tasks_busy_workers", medium, models, ""),
        ]
    assert "replicas" not in of_kind(rendered, "Deployment")[App.GPU_WORKER_IMAGE]["spec"], "they are KEDA's to set"


def test_editors_are_for_what_takes_no_gpu() -> None:
    [editing] = [yaml.safe_load((CHART / "values.yaml").read_text())["workers"]["editing"]]
    without = {model.key for model in read_catalog().models if model.needs.vram_mb == 0 and model.medium == "video"}
    assert set(editing["models"]) == {key for key in without if not key.startswith("tiny-")}
    assert editing["gpu"] == {"count": 0}


async def test_and_scheduling_says_it() -> None:
    class Empty(SqlQueue):
        def __init__(self) -> None: ...

        async def backlog(self, now: datetime) -> Backlog:
            return Backlog({}, {}, {})

    async def no_terms(_projects: Collection[str]) -> Terms:
        return Terms()

    async def no_pauses() -> Pauses:
        return Pauses()

    metrics = BacklogMetrics(Empty(), no_terms, no_pauses, read_catalog(), SettableClock())
    await metrics.measure()
    said = {(sample.name, sample.labels.get("state", "")) for family in metrics.collect() for sample in family.samples}
    assert {("movie_tasks_backlog_gpu_seconds", QUEUED), ("movie_tasks_busy_workers", "")} <= said


def test_webhooks_reach_the_ports_that_notification_allows(rendered: list[Object]) -> None:
    [public, *_] = of_kind(rendered, "NetworkPolicy")["webhooks"]["spec"]["egress"]
    default = NotificationSettings.model_fields["webhook_ports"].default
    assert tuple(port["port"] for port in public["ports"]) == default


def _without_secret_names(spec: Object) -> Object:
    metadata: list[dict[str, Any]] = [
        {**item, "secretKeyRef": item["secretKeyRef"]["key"]} if "secretKeyRef" in item else item
        for item in spec["metadata"]
    ]
    return {**spec, "metadata": metadata}


def _secret_refs(component: Object) -> list[dict[str, str]]:
    return [item["secretKeyRef"] for item in component["spec"]["metadata"] if "secretKeyRef" in item]
