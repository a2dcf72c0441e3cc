"""The images' file, as far as it goes without a registry: what its build stages do, done here, makes each service."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.helm import ROOT, container_of, of_kind
from tests.chart.kubectl import Object

DOCKERFILE = (ROOT / "services" / "Dockerfile").read_text()
SERVICES = ("submission", "scheduling", "storage", "notification", "gpu_worker")
COPIES = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
SYNCS = re.findall(r"^RUN (uv sync .+)$", DOCKERFILE, re.MULTILINE)
COPIED = [source for sources in COPIES for source in sources.split()]


def build_stage(folder: Path, command: str, service: str) -> Path:
    """The environment that the command makes of what the stages before it have copied, and its Python."""
    wanted = [source.replace("${SERVICE}", service) for source in COPIED]
    for source in wanted:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__", "training"))
        else:
            (folder / source).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, folder / source)
    uv = Path(os.environ["UV"])
    environment = os.environ | {
        "PATH": f"{uv.parent}:{os.environ['PATH']}",
        "SERVICE": service,
        "UV_PROJECT_ENVIRONMENT": str(folder / "environment"),
        "UV_PYTHON": sys.executable,
        "UV_LINK_MODE": "symlink",
    }
    environment.pop("VIRTUAL_ENV", None)
    subprocess.run(["sh", "-c", command], cwd=folder, env=environment, check=True, capture_output=True)
    return folder / "environment" / "bin" / "python"


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_its_service_and_no_other(service: str, tmp_path: Path) -> None:
    python = build_stage(tmp_path, SYNCS[0], service)
    script = "import importlib.util, sys; print([n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    asked = [*SERVICES, "contracts", "chassis", "embedded", "pytest", "torch", "confluent_kafka"]
    answer = subprocess.run(
        [python, "-I", "-c", script, *asked], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    expected = {service, "contracts", "chassis"} | ({"torch"} if service == "gpu_worker" else set())
    assert set(re.findall(r"\w+", answer)) == expected
    # All that it imports is there: it comes as far as asking for its settings.
    started = subprocess.run([python, "-m", service], cwd=tmp_path, env={}, check=False, capture_output=True, text=True)
    assert "A setting is missing or wrong" in started.stderr


def test_the_program_that_makes_topics_comes_as_far_as_asking_where_the_broker_is(tmp_path: Path) -> None:
    python = build_stage(tmp_path, SYNCS[1], "submission")
    script = tmp_path / "dapr-components" / "topics" / "create_topics.py"
    started = subprocess.run([python, script], cwd=tmp_path, env={}, check=False, capture_output=True, text=True)
    assert started.returncode == 1
    assert started.stderr.startswith("MOVIE_TASKS_BROKERS is not set")


def test_uv_is_the_one_that_the_makefile_takes() -> None:
    [here] = re.findall(r"^ARG UV_VERSION=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert f"UV_VERSION := {here}\n" in (ROOT / "Makefile").read_text()


def test_what_is_copied_is_not_kept_out() -> None:
    """The ignore file keeps everything out but what it names."""
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert rules[1] == "*"
    for source in COPIED:
        assert any(source == name or source.startswith(f"{name}/") for name in let_in), source


def test_there_is_an_image_for_each_pod(rendered: list[Object]) -> None:
    """By the names that the file's first lines build them under."""
    built = {f"movie-tasks-{service.replace('_', '-')}" for service in SERVICES} | {"movie-tasks-topics"}
    workloads = of_kind(rendered, "Deployment") | of_kind(rendered, "Job")
    assert {container_of(found)["image"].rpartition("/")[2].partition(":")[0] for found in workloads.values()} == built
    user = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert {
        workload["spec"]["template"]["spec"]["securityContext"]["runAsUser"] for workload in workloads.values()
    } == {int(one) for one in user}
