"""The script that installs on a Minikube, walked through with programs that only write down what they are told."""

import os
import re
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from tests.chart.helm import ROOT
from tests.chart.tenant import SECRETS

SCRIPT = ROOT / "k8s" / "minikube" / "install.sh"
VERSIONS = dict(re.findall(r"^(\w+)=(.+)$", (ROOT / "k8s" / "versions.env").read_text(), re.MULTILINE))
KEPT, KEY = "what-the-cluster-keeps", "mt_a-key"
PROGRAMS = ("minikube", "docker", "kubectl", "helm", "curl", "movie-tasks")
OWN_SECRETS = {"postgres", "smoke-key"}

ANSWERS = f"""\
case "$(basename "$0") $*" in
  *port-forward*) exec sleep 60 ;;
  *"--ignore-not-found"*) if [ -e "$FOLDER/installed" ]; then echo there; fi ;;
  *"get secret"*jsonpath*) printf %s {b64encode(KEPT.encode()).decode()} ;;
  *"projects create smoke"*)
    case "$*" in *--if-missing*) ;; *) if [ -e "$FOLDER/project" ]; then exit 1; fi ;; esac
    touch "$FOLDER/project" ;;
  *"keys create smoke"*) if [ -e "$FOLDER/project" ]; then echo {KEY}; else exit 1; fi ;;
  *"create secret"*) cat >> "$FOLDER/secrets" ;;
  *"apply --filename -") cat > /dev/null ;;
  "minikube docker-env"*) echo 'export DOCKER_HOST=tcp://minikube' ;;
  "movie-tasks smoke"*) echo "$MOVIE_TASKS_URL $MOVIE_TASKS_KEY" > "$FOLDER/smoke" ;;
esac
"""


class Machine:
    """One with all programs, none of which does anything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "bin").mkdir()
        for program in PROGRAMS:
            stand_in = folder / "bin" / program
            stand_in.write_text(f'#!/bin/sh\necho "{program} $*" >> "$FOLDER/log"\n{ANSWERS}')
            stand_in.chmod(0o755)

    def install(self) -> list[str]:
        """The command lines, in their order."""
        (self._folder / "log").write_text("")
        (self._folder / "secrets").write_text("")
        path = f"{self._folder / 'bin'}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self._folder), "FOLDER": str(self._folder), "PORT": "8099"}
        subprocess.run(["sh", str(SCRIPT)], env=environment, check=True, capture_output=True, text=True, timeout=60)
        (self._folder / "installed").touch()
        return (self._folder / "log").read_text().splitlines()

    def without(self, program: str) -> None:
        (self._folder / "bin" / program).unlink()

    def has_the_project(self) -> None:
        (self._folder / "project").touch()

    @property
    def secret_values(self) -> list[str]:
        return [line.rpartition("=")[2] for line in (self._folder / "secrets").read_text().splitlines()]

    @property
    def smoke(self) -> str:
        return (self._folder / "smoke").read_text().strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def missing(lines: list[str], *beginnings: str) -> list[str]:
    """Of these those with which no line begins after the one before."""
    rest = iter(lines)
    return [beginning for beginning in beginnings if not any(line.startswith(beginning) for line in rest)]


def test_from_nothing_to_one_image(machine: Machine) -> None:
    lines = machine.install()
    assert not missing(
        lines,
        "minikube start --profile movie-tasks",
        "docker build",
        "helm upgrade dapr",
        "helm upgrade prometheus",
        "helm upgrade keda",
        "helm upgrade traefik",
        "kubectl create namespace movie-tasks",
        "kubectl --namespace movie-tasks apply --filename k8s/minikube/around.yaml",
        "kubectl --namespace movie-tasks rollout status statefulset/postgres",
        "helm upgrade movie-tasks charts/movie-tasks",
        "movie-tasks projects create smoke",
        "movie-tasks keys create smoke",
        "movie-tasks smoke",
    )
    assert len([line for line in lines if line.startswith("docker build")]) == 6
    assert machine.smoke == f"http://localhost:8099 {KEPT}"


def test_all_secrets_are_made_and_no_value_of_theirs_is_on_a_command_line(machine: Machine) -> None:
    lines = machine.install()
    made = {line.split("secret generic ")[1].split()[0] for line in lines if "create secret generic" in line}
    assert made == {*SECRETS, *OWN_SECRETS}
    random = [value for value in machine.secret_values if len(value) >= 20]
    assert len(random) >= 10
    assert not [value for value in [*random, KEPT, KEY] if value in "\n".join(lines)]


def test_run_again_it_leaves_secrets_and_keys_as_they_are(machine: Machine) -> None:
    machine.install()
    again = machine.install()
    assert not [line for line in again if "create secret" in line or "keys create" in line]
    assert again[-1].startswith("movie-tasks smoke")


def test_a_project_whose_key_it_had_not_kept_is_no_obstacle(machine: Machine) -> None:
    machine.has_the_project()
    assert machine.install()[-1].startswith("movie-tasks smoke")


def test_charts_have_the_versions_that_are_pinned(machine: Machine) -> None:
    lines = machine.install()
    for release in ("dapr", "prometheus", "keda", "traefik"):
        [line] = [line for line in lines if line.startswith(f"helm upgrade {release} ")]
        assert f"--version {VERSIONS[f'{release.upper()}_CHART']} " in line
    assert f"--kubernetes-version {VERSIONS['KUBERNETES_VERSION']} " in lines[0]


def test_a_program_that_is_missing_is_named_before_anything_is_done(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.without("minikube")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "dirname", "mkdir", "openssl"):
        (tools / name).symlink_to(next(p for p in (Path("/usr/bin") / name, Path("/bin") / name) if p.exists()))
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        machine.install()
    assert failed.value.stderr.splitlines()[-1] == "Missing here: minikube"
    assert (tmp_path / "log").read_text() == ""
