"""What the chart takes, and how it refuses what it does not take."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from contracts.topics import App

from tests.chart.helm import CHART, NEEDED, RELEASE, Helm, container_of, of_kind
from tests.chart.kubectl import Refused

FREE = ("digests", "resources", "volume", "nodeSelector", "settings", "dashboards.labels", "objectives")
"""Maps whose keys are the user's business, or another test's."""
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"wrokers": {}}, "additional properties 'wrokers' not allowed"),
    ({"workers": {"vdieo": {}}}, "at '/workers/vdieo': missing property 'medium'"),
    ({"workers": {"small": {"medium": "film"}}}, "at '/workers/small/medium': value must be one of"),
    ({"workers": {"Small": {"medium": "video"}}}, "'Small' does not match pattern"),
    ({"workers": {"image": {"models": ["sdxl,flux"]}}}, "'sdxl,flux' does not match pattern"),
    ({"workers": {"image": {"replcas": 2}}}, "at '/workers/image': additional properties 'replcas' not allowed"),
    ({"workers": {"image": {"replicas": "2"}}}, "at '/workers/image/replicas': got string, want integer"),
    ({"workers": {"image": {"gpu": {"count": -1}}}}, "at '/workers/image/gpu/count': minimum: got -1, want 0"),
    ({"workers": {"image": {"gpu": {"resource": "nvidia.com/mig-big"}}}}, "'nvidia.com/mig-big' does not match"),
    ({"workers": {"image": {"terminationGraceSeconds": 10}}}, "minimum: got 10, want 120"),
    ({"workers": {"image": {"cache": {"volume": {"emptyDir": {}, "hostPath": {}}}}}}, "maxProperties: got 2, want 1"),
    ({"workers": {"image": {"settings": {"worker_medium": "video"}}}}, "additional properties 'worker_medium'"),
    ({"services": {"notification": {"settings": {"webhook_tiemout": 3}}}}, "additional properties 'webhook_tiemout'"),
    ({"services": {"storage": {"settings": {"media_link_keys": "secret"}}}}, "additional properties 'media_link_keys'"),
    ({"services": {"storage": {"resources": {"limits": {"memory": "much"}}}}}, "'much' does not match pattern"),
    ({"logLevel": "LOUD"}, "at '/logLevel': value must be one of 'DEBUG'"),
    ({"models": []}, "at '/models': minItems: got 0, want 1"),
    ({"image": {"digests": {"storage": "latest"}}}, "'latest' does not match pattern"),
    ({"state": {"existingSecret": "No Name"}}, "'No Name' does not match pattern"),
    ({"objectStore": {"url": "movie-tasks"}}, "'movie-tasks' does not match pattern"),
    ({"corsOrigins": ["https://studio.example.com/"]}, "at '/corsOrigins/0'"),
    ({"tracing": {"endpoint": "collector:4318"}}, "'collector:4318' does not match pattern"),
    ({"tracing": {"endpoint": "http://user:secret@collector:4318"}}, "at '/tracing/endpoint'"),
    ({"tracing": {"sampleRatio": 2}}, "at '/tracing/sampleRatio': maximum: got 2, want 1"),
    ({"alerts": {"objectives": {"api": 99}}}, "at '/alerts/objectives': additional properties 'api' not allowed"),
    ({"alerts": {"objectives": {"tasks": 100}}}, "exclusiveMaximum: got 100, want 100"),
    ({"keda": {"enabled": "yes"}}, "at '/keda/enabled': got string, want boolean"),
    ({"networkPolicy": {"broker": {"ports": [0]}}}, "minimum: got 0, want 1"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_is_unknown_or_wrong_is_refused_by_its_name(helm: Helm, given: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match="meet the specifications of the schema") as refused:
        helm.render(given)
    assert said in str(refused.value)


def test_everything_that_is_missing_is_said_at_once(helm: Helm) -> None:
    with pytest.raises(Refused, match="Movie Tasks needs these values") as refused:
        helm("template", "r", str(CHART), values={"keda": {"enabled": True}, "ingress": {"enabled": True}})
    for path in [*_paths(NEEDED), "keda.prometheus", "ingress.host"]:
        if path not in ("objectStore.endpoint", "objectStore.existingSecret"):
            assert f"- {path}: " in str(refused.value)


@pytest.mark.parametrize("missing", ["image", "broker", "services"])
def test_what_is_missing_alone_is_said_alone(helm: Helm, missing: str) -> None:
    some = {key: value for key, value in NEEDED.items() if key != missing}
    with pytest.raises(Refused) as refused:
        helm("template", "r", str(CHART), values=some)
    listed = [line for line in str(refused.value).splitlines() if line.startswith("  - ")]
    assert listed and all(line.startswith(f"  - {missing}.") for line in listed)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"serviceDefaults": {"resources": {"limits": {"memory": "64Mi"}}}},
            "services.submission.resources.limits.memory",
        ),
        ({"services": {"storage": {"resources": {"limits": {"memory": "0.3Gi"}}}}}, "no less than the 384Mi that"),
        (
            {"workers": {"image": {"resources": {"limits": {"memory": "8G"}}}}},
            "workers.image.resources.limits.memory: no",
        ),
        (
            {"workers": {"video": {"resources": {"limits": {"cpu": "1500m"}}}}},
            "no less than the 2 that it requests, and",
        ),
    ],
)
def test_limits_below_what_is_requested_are_refused_before_anything_is_made(
    helm: Helm, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(Refused, match="Movie Tasks needs these values") as refused:
        helm.render(given)
    assert said in str(refused.value)


def test_limits_that_are_just_enough_are_taken(helm: Helm) -> None:
    helm.render(
        {"workerDefaults": {"resources": {"requests": {"memory": "8192Mi"}, "limits": {"memory": "8Gi", "cpu": 2}}}}
    )


def test_lint_has_nothing_against_it(helm: Helm) -> None:
    said = helm("lint", str(CHART), "--strict", values=NEEDED)
    assert "[WARNING]" not in said and "[ERROR]" not in said


def test_packaged_it_is_the_same(helm: Helm, tmp_path: Path) -> None:
    """The link to the components is a folder in the package."""
    helm("package", str(CHART), "--destination", str(tmp_path))
    [package] = tmp_path.iterdir()
    assert helm("template", RELEASE, str(package), values=NEEDED) == helm(
        "template", RELEASE, str(CHART), values=NEEDED
    )


def test_an_older_kubernetes_is_refused(helm: Helm) -> None:
    with pytest.raises(Refused, match=r"requires kubeVersion: >=1\.30\.0-0"):
        helm("template", RELEASE, str(CHART), "--kube-version=1.29.9", values=NEEDED)


def test_the_schema_knows_what_has_a_default_and_nothing_else() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    overrides = {"global", "services", "workers"}
    found = {path for path in _keys(schema, schema["definitions"]) if path.partition(".")[0] not in overrides}
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert found == {path for path in _paths(defaults) if path.partition(".")[0] not in overrides}


@pytest.mark.parametrize(
    ("service", "setting", "given", "read"),
    [
        ("storage", "storage_largest_upload", 209715200, "209715200"),
        ("scheduling", "leader_lease", 0.5, "0.5"),
        ("scheduling", "lease", "PT30S", "PT30S"),
        ("notification", "webhook_ports", ["443", "8443"], "443,8443"),
    ],
)
def test_settings_reach_the_service_as_they_were_meant(
    helm: Helm, service: str, setting: str, given: object, read: str
) -> None:
    found = of_kind(helm.render({"services": {service: {"settings": {setting: given}}}}), "Deployment")[service]
    variables = {one["name"]: one.get("value") for one in container_of(found)["env"]}
    assert variables[f"MOVIE_TASKS_{setting.upper()}"] == read


def _paths(values: dict[str, Any], before: str = "") -> list[str]:
    """Down to what is no map, or a map that anything may be in."""
    found: list[str] = []
    for key, value in values.items():
        free = f"{before}{key}".endswith(FREE) or not isinstance(value, dict) or not value
        found += [f"{before}{key}"] if free else _paths(value, f"{before}{key}.")
    return found


def _keys(schema: dict[str, Any], definitions: dict[str, Any], before: str = "") -> list[str]:
    found: list[str] = []
    for key, value in schema["properties"].items():
        said = definitions[value["$ref"].rpartition("/")[2]] if "$ref" in value else value
        free = f"{before}{key}".endswith(FREE) or not said.get("properties")
        found += [f"{before}{key}"] if free else _keys(said, definitions, f"{before}{key}.")
    return found


@pytest.mark.parametrize(
    ("endpoint", "allowed"), [("http://minio.media:9000", "true"), ("https://account.r2.example.com", None)]
)
def test_an_object_store_without_tls_is_only_talked_to_where_it_is_named(
    helm: Helm, endpoint: str, allowed: str | None
) -> None:
    deployments = of_kind(helm.render({"objectStore": {"endpoint": endpoint}}), "Deployment")
    for app in (App.STORAGE, App.GPU_WORKER_IMAGE):
        variables = {one["name"]: one.get("value") for one in container_of(deployments[app])["env"]}
        assert variables["AWS_ENDPOINT_URL"] == endpoint
        assert variables.get("AWS_ALLOW_HTTP") == allowed
