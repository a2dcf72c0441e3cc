"""The ways to install, as far as they go without a cluster: values, secrets, versions, and what pages tell to type."""

import os
import re
import stat
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import yaml
from contracts.topics import App
from cryptography.fernet import Fernet

from tests.chart.helm import CHART, ROOT, WORKERS, Helm, container_of, of_kind
from tests.chart.kubectl import Object
from tests.chart.tenant import SECRETS
from tests.chart.test_linters import ACCEPTED, conforms, findings
from tests.cluster.platform import content_system

WAYS = ROOT / "k8s"
VERSIONS = dict(re.findall(r"^(\w+)=(.+)$", (WAYS / "versions.env").read_text(), re.MULTILINE))
AROUND: list[Object] = list(yaml.safe_load_all((WAYS / "minikube" / "around.yaml").read_text()))
MINIKUBE = ("values.yaml", "minikube/values.yaml")
GIVEN = {key: f"given for {key}" for keys in SECRETS.values() for key in keys if key != "token"}
"""What make-secrets.sh is told; of random content it is told nothing."""
RANDOM = (
    "MOVIE_TASKS_ADMIN_KEY",
    "MOVIE_TASKS_MEDIA_LINK_KEYS",
    "MOVIE_TASKS_PREVIEW_LINK_KEYS",
    "MOVIE_TASKS_WEBHOOK_ENCRYPTION_KEYS",
)


def rendered_with(helm: Helm, *files: str) -> list[Object]:
    values = [f"--values={WAYS / file}" for file in files]
    text = helm("template", "movie-tasks", str(CHART), *values)
    return [found for found in yaml.safe_load_all(text) if found]


def unexplained(rendered: list[Object]) -> set[str]:
    """What a policy scan finds in what is of its kinds' schemas, without what is explained for every release."""
    assert f"{len(rendered)} resources found" in conforms(rendered)
    return set(findings(rendered)) - set(ACCEPTED)


class SecretsMaker:
    """make-secrets.sh with a real kubectl, that is kept from the cluster which it does not have."""

    def __init__(self, programs: Path, folder: Path, there: str = "") -> None:
        self._folder = folder
        kubectl = folder / "kubectl"
        kubectl.write_text(
            "#!/bin/sh\n"
            f'case " $* " in *" get secret "*) for name in {there}; do\n'
            '    case " $* " in *" secret $name "*) echo "secret/$name" ;; esac; done; exit ;; esac\n'
            f'printf "%s\\n" "$*" >> {folder}/seen; echo ---\n'
            f'exec {programs}/kubernetes kubectl --kubeconfig=/dev/null "$@" --dry-run=client --output=yaml\n'
        )
        kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)

    def __call__(self, environment: dict[str, str]) -> dict[str, dict[str, str]]:
        """The secrets that it would make, by name."""
        path = f"{self._folder}:{os.environ['PATH']}"
        command = ["sh", str(WAYS / "make-secrets.sh")]
        made = subprocess.run(
            command,
            env={"PATH": path, "HOME": str(self._folder), **environment},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        objects = [one for one in yaml.safe_load_all(made) if one]
        return {one["metadata"]["name"]: decoded(one["data"]) for one in objects}

    @property
    def command_lines(self) -> str:
        return (self._folder / "seen").read_text()


def decoded(data: dict[str, str]) -> dict[str, str]:
    return {key: b64decode(value).decode() for key, value in data.items()}


def told() -> dict[str, str]:
    return {key: value for key, value in GIVEN.items() if key not in RANDOM}


def test_every_secret_that_the_chart_names_is_made_with_the_keys_it_needs(programs: Path, tmp_path: Path) -> None:
    made = SecretsMaker(programs, tmp_path)(told())
    assert {name: sorted(content) for name, content in made.items()} == {
        name: sorted(keys) for name, keys in SECRETS.items()
    }
    base = yaml.safe_load((WAYS / "values.yaml").read_text())
    assert set(named(base)) == set(made)


def test_secrets_hold_what_was_told_and_else_what_nobody_knows(programs: Path, tmp_path: Path) -> None:
    maker = SecretsMaker(programs, tmp_path)
    first, second = maker(told()), maker(told())
    for name, content in first.items():
        for key, value in content.items():
            if key in told():
                assert value == told()[key]
            else:
                assert len(value) >= 43 and value.strip() == value and value != second[name][key]
    assert first["dapr-api-token"] != first["dapr-app-token"]
    Fernet(first["storage"]["MOVIE_TASKS_MEDIA_LINK_KEYS"])
    Fernet(first["notification"]["MOVIE_TASKS_WEBHOOK_ENCRYPTION_KEYS"])
    shared = {first[app]["MOVIE_TASKS_PREVIEW_LINK_KEYS"] for app in ("storage", "notification")}
    assert len(shared) == 1, "one opens what the other seals"
    Fernet(*shared)


def test_no_value_is_part_of_a_command_line(programs: Path, tmp_path: Path) -> None:
    maker = SecretsMaker(programs, tmp_path)
    for content in maker(told()).values():
        assert not [value for value in content.values() if value in maker.command_lines]


def test_secrets_that_are_there_stay_as_they_are(programs: Path, tmp_path: Path) -> None:
    needed = {key: value for key, value in told().items() if "STATE" not in key and not key.startswith("AWS")}
    made = SecretsMaker(programs, tmp_path, there="state object-store dapr-api-token")(needed)
    assert set(made) == set(SECRETS) - {"state", "object-store", "dapr-api-token"}


def test_what_a_secret_lacks_is_said_by_its_name(programs: Path, tmp_path: Path) -> None:
    lacking = {key: value for key, value in told().items() if key != "MOVIE_TASKS_STATE_DSN"}
    with pytest.raises(subprocess.CalledProcessError) as failed:
        SecretsMaker(programs, tmp_path)(lacking)
    assert "MOVIE_TASKS_STATE_DSN is not set: secret state needs it" in failed.value.stderr


def test_minikubes_values_make_a_sound_release_without_gpus(helm: Helm) -> None:
    rendered = rendered_with(helm, *MINIKUBE)
    # One machine has room for one of each.
    assert unexplained(rendered) == {"deployment-replicas"}
    deployments = of_kind(rendered, "Deployment")
    assert set(deployments) & set(WORKERS) == {"gpu-worker-image"}
    limits = container_of(deployments["gpu-worker-image"])["resources"]["limits"]
    assert not [name for name in limits if name.startswith("nvidia.com/")]
    for deployment in deployments.values():
        container = container_of(deployment)
        assert container["image"].startswith("localhost/") and container["imagePullPolicy"] == "Never"


def test_minikubes_images_are_those_that_its_script_builds(helm: Helm) -> None:
    script = (WAYS / "minikube" / "install.sh").read_text()
    [services] = re.findall(r"for service in (.+); do", script)
    built = {*services.split(), *re.findall(r"^    image ([a-z-]+) ", script, re.MULTILINE)}
    rendered = rendered_with(helm, *MINIKUBE)
    workloads = [*of_kind(rendered, "Deployment").values(), *of_kind(rendered, "Job").values()]
    assert {container_of(one)["image"] for one in workloads} == {
        f"localhost/movie-tasks-{name}:minikube" for name in built
    }


def test_what_is_around_minikubes_release_is_where_its_values_and_its_script_say() -> None:
    assert f"{len(AROUND)} resources found" in conforms(AROUND)
    script = (WAYS / "minikube" / "install.sh").read_text()
    ports = {one["metadata"]["name"]: one["spec"]["ports"][0]["port"] for one in AROUND if one["kind"] == "Service"}
    values = yaml.safe_load((WAYS / "minikube" / "values.yaml").read_text())
    assert f"MOVIE_TASKS_BROKERS=broker:{ports['broker']}" in script
    assert f"@postgres:{ports['postgres']}" in script
    assert values["objectStore"]["endpoint"] == f"http://s3:{ports['s3']}"
    assert values["networkPolicy"]["objectStore"]["ports"] == [ports["s3"]]
    [databases] = [one["data"]["databases.sql"] for one in AROUND if one["kind"] == "ConfigMap"]
    wanted = re.findall(r'="\$database/(\w+)"', script)
    assert sorted(re.findall(r"CREATE DATABASE (\w+);", databases)) == sorted(wanted) and len(wanted) == 5


def test_what_is_around_minikubes_release_asks_for_secrets_that_are_made() -> None:
    script = (WAYS / "minikube" / "install.sh").read_text()
    [own] = re.findall(r"secret generic postgres --from-file=(\w+)=", script)
    made = {**SECRETS, "postgres": [own]}
    asked = re.findall(r"secretKeyRef': \{'name': '([\w-]+)', 'key': '(\w+)'", str(AROUND))
    assert len(asked) == 3 and all(key in made[name] for name, key in asked)


def test_images_are_pinned_and_of_the_versions_that_tests_run_on() -> None:
    images = [
        one["spec"]["template"]["spec"]["containers"][0]["image"] for one in AROUND if one["kind"] == "StatefulSet"
    ]
    assert all(re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", image) for image in images)
    programs = (ROOT / "dapr-components" / "runtime" / "cluster_programs.py").read_text()
    [s3] = re.findall(r"cmd/versitygw@(v[\d.]+)", programs)
    assert f"ghcr.io/versity/versitygw:{s3}" in images


def test_charts_are_of_the_versions_that_tests_run_on() -> None:
    pinned = "".join(path.read_text() for path in [*ROOT.glob("*/*/go.mod"), *WAYS.glob("*/*/go.mod")])
    assert f"github.com/dapr/dapr v{VERSIONS['DAPR_CHART']}\n" in pinned
    assert f"github.com/kedacore/keda/v2 v{VERSIONS['KEDA_CHART']}\n" in pinned


def test_payloadcms_is_told_of_the_release_that_it_stands_beside(helm: Helm) -> None:
    page = (ROOT / "services" / "payloadcms" / "README.md").read_text()
    [block] = re.findall(r"^## On Kubernetes\n.+?^```yaml\n(.+?)^```", page, re.MULTILINE | re.DOTALL)
    pod = yaml.safe_load(block)["spec"]["template"]
    annotations = pod["metadata"]["annotations"]
    assert annotations["dapr.io/app-id"] == App.PAYLOADCMS
    assert annotations["dapr.io/config"] in of_kind(helm.render(), "Configuration")
    token = yaml.safe_load((WAYS / "values.yaml").read_text())["dapr"]["apiTokenSecret"]
    assert annotations["dapr.io/api-token-secret"] == token
    [variable] = container_of({"spec": {"template": pod}})["env"]
    assert variable["valueFrom"] == {"secretKeyRef": {"name": token, "key": "token"}}
    # What a real sidecar was tried with; the test's own is reached from outside its pod.
    tried = content_system()["metadata"]["annotations"].items()
    assert tried - {("dapr.io/sidecar-listen-addresses", "0.0.0.0")} <= annotations.items()  # noqa: S104


@pytest.mark.parametrize("script", ["install-around.sh", "make-secrets.sh", "minikube/install.sh"])
def test_scripts_name_no_version_and_may_be_run(script: str) -> None:
    path = WAYS / script
    assert path.stat().st_mode & stat.S_IXUSR
    assert not re.findall(r"\bv?\d+\.\d+\.\d+\b(?!\.)", path.read_text()), "versions are in versions.env"
    for name in re.findall(r'"\$(\w+_(?:CHART|VERSION))"', path.read_text()):
        assert name in VERSIONS


def named(values: dict[str, Any]) -> list[str]:
    """The secrets that values name."""
    found: list[str] = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += named(value)
        elif key == "existingSecret" or key.endswith("TokenSecret"):
            found.append(value)
    return found
