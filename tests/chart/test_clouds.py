"""What the pages of clouds tell to type, and the values that go with it."""

import json
import os
import re
import subprocess
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.chart.helm import EDITORS, ROOT, WORKERS, Helm, container_of, of_kind
from tests.chart.kubectl import Object, run
from tests.chart.test_linters import conforms, program
from tests.chart.test_ways import VERSIONS, WAYS, named, rendered_with, told, unexplained

INSTALL = (WAYS / "INSTALL.md").read_text()
[MINE] = re.findall(r"^```yaml\n(# my-values\.yaml\n.+?)^```", INSTALL, re.MULTILINE | re.DOTALL)
NAME = "movie-tasks-"


@dataclass(frozen=True)
class Pool:
    """What its nodes have from their first moment."""

    labels: dict[str, str]
    taints: list[tuple[str, str, str]]
    """Key, value and effect."""


def gke() -> Pool:
    [command] = commands("gke", "gcloud container node-pools create")
    return Pool(labels_of(option(command, "--node-labels")), taints_of(option(command, "--node-taints")))


def aks() -> Pool:
    [command] = commands("aks", "az aks nodepool add")
    spot = "kubernetes.azure.com/scalesetpriority"
    labels, taints = labels_of(option(command, "--labels")), taints_of(option(command, "--node-taints"))
    assert option(command, "--priority") == "Spot"
    return Pool({**labels, spot: "spot"}, [*taints, (spot, "spot", "NoSchedule")])


def eks() -> Pool:
    assert commands("eks", "eksctl create cluster --config-file k8s/eks/cluster.yaml")
    groups = yaml.safe_load((WAYS / "eks" / "cluster.yaml").read_text())["managedNodeGroups"]
    [group] = [one for one in groups if one["name"] == "gpu"]
    return Pool(group["labels"], [(one["key"], one["value"], one["effect"]) for one in group["taints"]])


def oke() -> Pool:
    [command] = commands("oke", "oci ce node-pool create")
    [labels] = re.findall(r"--initial-node-labels '(.+?)'", command)
    assert "k8s/oke/node-init.sh" in command
    [taints] = re.findall(r"--register-with-taints=(\S+?)\"", (WAYS / "oke" / "node-init.sh").read_text())
    return Pool({one["key"]: one["value"] for one in json.loads(labels)}, taints_of(taints))


POOLS: dict[str, Callable[[], Pool]] = {"gke": gke, "aks": aks, "eks": eks, "oke": oke}


def commands(cloud: str, beginning: str) -> list[str]:
    """Of the page, each on one line."""
    page = (WAYS / cloud / "README.md").read_text().replace("\\\n", "")
    return [line for line in page.splitlines() if line.startswith(beginning)]


def option(command: str, name: str) -> str:
    [value] = re.findall(rf" {name} (\S+)", command)
    return str(value)


def labels_of(text: str) -> dict[str, str]:
    return dict(one.split("=") for one in text.split(","))


def taints_of(text: str) -> list[tuple[str, str, str]]:
    return [(key, value, effect) for key, value, effect in re.findall(r"([^=,]+)=([^:]+):(\w+)", text)]


def goes_to(pod: Object, pool: Pool) -> bool:
    """As the scheduler has it: every label that it selects, no taint that it does not tolerate."""
    selected = pod.get("nodeSelector", {}).items() <= pool.labels.items()
    return selected and all(any(tolerates(one, taint) for one in pod.get("tolerations", [])) for taint in pool.taints)


def tolerates(toleration: Object, taint: tuple[str, str, str]) -> bool:
    key, value, effect = taint
    if toleration.get("key") != key or toleration.get("effect", effect) != effect:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value") == value


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("values") / "my-values.yaml"
    path.write_text(MINE)
    return str(path)


@pytest.mark.parametrize("cloud", POOLS)
def test_a_clouds_values_make_a_sound_release(helm: Helm, mine: str, cloud: str) -> None:
    assert not unexplained(rendered_with(helm, "values.yaml", f"{cloud}/values.yaml", mine))


@pytest.mark.parametrize("cloud", POOLS)
def test_workers_go_to_the_pool_that_the_page_makes_and_nothing_else_does(helm: Helm, mine: str, cloud: str) -> None:
    deployments = of_kind(rendered_with(helm, "values.yaml", f"{cloud}/values.yaml", mine), "Deployment")
    pods = {name: found["spec"]["template"]["spec"] for name, found in deployments.items()}
    on_gpus = {name for name in WORKERS if name != EDITORS}
    assert {name for name, pod in pods.items() if goes_to(pod, POOLS[cloud]())} == on_gpus
    for name in on_gpus:
        assert pods[name]["nodeSelector"], "a worker without a GPU of its own would do on any node"
        assert container_of(deployments[name])["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize(
    "other",
    [
        Pool({"nvidia.com/gpu.present": "true"}, [("nvidia.com/gpu", "other", "NoSchedule")]),
        Pool({"nvidia.com/gpu.present": "true"}, [("reserved", "yes", "NoSchedule")]),
        Pool({}, [("nvidia.com/gpu", "present", "NoSchedule")]),
    ],
)
def test_and_to_a_pool_that_differs_they_would_not_go(helm: Helm, mine: str, other: Pool) -> None:
    deployments = of_kind(rendered_with(helm, "values.yaml", "gke/values.yaml", mine), "Deployment")
    assert not goes_to(deployments["gpu-worker-image"]["spec"]["template"]["spec"], other)


@pytest.mark.parametrize("cloud", POOLS)
def test_pools_begin_with_no_node(cloud: str) -> None:
    said = {
        "gke": r"--total-min-nodes 0 ",
        "aks": r"--min-count 0 ",
        "eks": r"minSize: 0\n",
        "oke": r'"0:8:GPU_POOL_OCID"',
    }
    files = {"eks": "eks/cluster.yaml", "oke": "oke/autoscaler.json"}
    assert re.search(said[cloud], (WAYS / files.get(cloud, f"{cloud}/README.md")).read_text())


def test_oracles_command_hands_over_the_script_in_json_that_can_be_read(tmp_path: Path) -> None:
    [command] = commands("oke", "oci ce node-pool create")
    stand_in = tmp_path / "oci"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    stand_in.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "AVAILABILITY_DOMAIN": "AD-1",
        "SUBNET_OCID": "ocid1.subnet",
    }
    said = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    arguments = said.stdout.split("\0")
    given = {name: arguments[arguments.index(name) + 1] for name in arguments if name.startswith("--")}
    [placement] = json.loads(given["--placement-configs"])
    assert placement == {"availabilityDomain": "AD-1", "subnetId": "ocid1.subnet"}
    script = b64decode(json.loads(given["--node-metadata"])["user_data"])
    assert script == (WAYS / "oke" / "node-init.sh").read_bytes()


def test_azures_device_plugin_goes_where_workers_go() -> None:
    values = yaml.safe_load((WAYS / "aks" / "device-plugin.yaml").read_text())
    assert goes_to(values, aks())


def test_amazons_roles_are_those_of_the_service_accounts_that_need_the_bucket(helm: Helm, mine: str) -> None:
    rendered = rendered_with(helm, "values.yaml", "eks/values.yaml", mine, "eks/s3.yaml")
    conforms(rendered)
    roles = {
        found["metadata"]["name"]: found["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].partition("/")[2]
        for found in rendered
        if found["kind"] == "ServiceAccount" and "annotations" in found["metadata"]
    }
    [loop] = re.findall(r"for account in (.+); do", (WAYS / "eks" / "README.md").read_text())
    assert roles == {f"{NAME}{account}": f"{NAME}{account}" for account in loop.split()}
    asking = [
        found["spec"]["template"]["spec"]["serviceAccountName"]
        for found in of_kind(rendered, "Deployment").values()
        if "AWS_REGION" in {one["name"] for one in container_of(found)["env"]}
    ]
    assert set(asking) == set(roles)
    assert "AWS_SECRET_ACCESS_KEY" not in str(rendered) and "AWS_ENDPOINT_URL" not in str(rendered)


def test_amazons_storage_class_is_of_its_schema() -> None:
    conforms([yaml.safe_load((WAYS / "eks" / "storage-class.yaml").read_text())])


def test_what_is_to_be_set_before_secrets_are_made_is_set_in_the_steps() -> None:
    before, _, _ = INSTALL.partition("k8s/make-secrets.sh\n```")
    assert {name for name in re.findall(r"^export (\w+)=", before, re.MULTILINE) if name in told()} == set(told())


def test_the_broker_of_the_steps_is_the_one_that_values_let_through() -> None:
    [port] = re.findall(r"^export MOVIE_TASKS_BROKERS=\S+:(\d+)$", INSTALL, re.MULTILINE)
    assert yaml.safe_load(MINE)["networkPolicy"]["broker"]["ports"] == [int(port)]
    broker = yaml.safe_load((WAYS / "redpanda.yaml").read_text())
    assert f"create secret generic {broker['auth']['sasl']['secretRef']} " in INSTALL
    assert broker["auth"]["sasl"]["mechanism"] in INSTALL and not broker["tls"]["enabled"]


def test_values_that_are_the_same_everywhere_name_no_secret_twice() -> None:
    base = yaml.safe_load((WAYS / "values.yaml").read_text())
    assert len(named(base)) == len(set(named(base)))


PAGES = [WAYS / "INSTALL.md", *(WAYS / name / "README.md" for name in ("minikube", *POOLS))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(WAYS)))
def test_what_pages_lead_to_is_there(page: Path) -> None:

    text = page.read_text()
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for named_file in re.findall(r"(?:--values|--config-file|--filename) (k8s/[\w./-]+)", text):
        assert (ROOT / named_file).is_file(), named_file
    for version in re.findall(r'--version "\$(\w+)"', text):
        assert version in VERSIONS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(WAYS)))
def test_commands_of_pages_mean_what_they_say(page: Path, tmp_path: Path) -> None:
    """All but what is the matter with an example: files elsewhere, and variables that the next page asks for."""
    script = tmp_path / "page.sh"
    blocks = re.findall(r"^```sh\n(.+?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    script.write_text("\n".join(["#!/bin/sh", *blocks]))
    run([program("shellcheck"), "--exclude=SC1091,SC2034,SC2155", str(script)])
