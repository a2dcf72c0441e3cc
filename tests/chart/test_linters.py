"""What those who know best about objects, images' files, workflows and scripts have against ours."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from schemas import BY_KIND

from tests.chart.helm import CHART, ROOT, Helm
from tests.chart.kubectl import Object, run

PATH = os.environ.get("MOVIE_TASKS_LINTERS", "")
DOCUMENTING = ("--sort-values-order=file", "--skip-version-footer", "--log-level=warning")
"""As the Makefile has it."""

ACCEPTED = {
    "container-image-pull-policy": "images are named by version or digest, so what a node has is what would be pulled",
    "container-ephemeral-storage-request-and-limit": "all that is written goes into volumes, each with its own limit",
    "container-resources": "a limit of CPU only slows down what could use idle cores; memory is limited",
    "deployment-has-host-podantiaffinity": "topology spread does it, and lets two share a node when there is no other",
}
"""What kube-score finds and we leave as it is, and why. What it does not find any more has no place here."""


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found, f"no {name} in MOVIE_TASKS_LINTERS: make test-chart brings it"
    return found


def lines_of(rendered: list[Object]) -> str:
    return yaml.safe_dump_all(rendered)


def conforms(rendered: list[Object]) -> str:
    folder = Path(program("kubeconform")).parent / "schemas"
    locations = [argument for name in BY_KIND for argument in ("-schema-location", f"{folder}/{name}")]
    return run([program("kubeconform"), "-strict", "-summary", *locations], lines_of(rendered))


def test_every_object_is_of_its_kinds_schema(rendered: list[Object]) -> None:
    assert f"{len(rendered)} resources found" in conforms(rendered)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("Deployment", {"replcas": 1}),
        ("Deployment", {"replicas": "2"}),
        ("NetworkPolicy", {"podSelector": []}),
        ("ScaledObject", {"maxReplicaCount": "4"}),
        ("Component", {"metdata": []}),
    ],
    ids=str,
)
def test_and_a_wrong_one_would_be_found(rendered: list[Object], kind: str, wrong: dict[str, Any]) -> None:
    one = next(found for found in rendered if found["kind"] == kind)
    with pytest.raises(Exception, match="is invalid"):
        conforms([{**one, "spec": one["spec"] | wrong}])


def findings(rendered: list[Object]) -> dict[str, list[str]]:
    """What kube-score warns of, by the name of its check."""
    command = [program("kube-score"), "score", "--output-format=json", "-"]
    answer = subprocess.run(command, input=lines_of(rendered), check=False, capture_output=True, text=True, timeout=60)
    found: dict[str, list[str]] = {}
    for scored in json.loads(answer.stdout):
        for check in scored["checks"]:
            if not check["skipped"] and check["grade"] < 10:
                texts = [f"{scored['object_name']}: {comment['summary']}" for comment in check["comments"] or [{}]]
                found.setdefault(check["check"]["id"], []).extend(texts)
    return found


def test_the_policy_scan_finds_what_is_explained_and_nothing_else(helm: Helm) -> None:
    found = findings(helm.render({"keda": {"enabled": True, "prometheus": "http://p"}}))
    assert {name: texts for name, texts in found.items() if name not in ACCEPTED} == {}
    assert set(ACCEPTED) <= set(found), "what is not found needs no excuse"


def test_and_would_find_more(rendered: list[Object]) -> None:
    careless: list[Object] = json.loads(json.dumps(rendered))
    for one in careless:
        if one["kind"] == "Deployment":
            one["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    assert {
        "container-security-context-privileged", "container-security-context-readonlyrootfilesystem",
    } <= set(findings(careless))  # fmt: skip


def test_workflows_say_what_github_understands() -> None:
    workflows = sorted(str(path) for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    run([program("actionlint"), f"-shellcheck={program('shellcheck')}", "-pyflakes=", *workflows])


def test_the_images_file_is_made_as_such_files_should_be() -> None:
    run([program("hadolint"), str(ROOT / "services" / "Dockerfile")])


SCRIPTS = [
    path
    for path in subprocess.run(
        ["git", "ls-files", "*.sh", ".ci/*"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    if (ROOT / path).read_text().startswith(("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash"))
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_mean_what_they_say(script: str) -> None:
    run([program("shellcheck"), str(ROOT / script)])


def documented(folder: Path) -> str:
    """The chart's README as its values and its template have it."""
    for name in ("Chart.yaml", "values.yaml", "README.md.gotmpl"):
        shutil.copyfile(CHART / name, folder / name)
    run([program("helm-docs"), f"--chart-search-root={folder}", *DOCUMENTING])
    return (folder / "README.md").read_text()


def test_the_charts_readme_says_what_its_values_say(tmp_path: Path) -> None:
    readme = documented(tmp_path)
    assert readme == (CHART / "README.md").read_text(), "make chart-readme writes it"
    assert not [line for line in readme.splitlines() if line.endswith("|  |")], "a value without an explanation"
