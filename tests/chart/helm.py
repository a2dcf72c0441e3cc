"""Helm as tests use it, with the values that a release needs."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from contracts import topics

from tests.chart.kubectl import Object, run

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "movie-tasks"
NEEDED: Object = yaml.safe_load((Path(__file__).parent / "values.yaml").read_text())
RELEASE = "movie-tasks"
EDITORS = "gpu-worker-editing"
"""Workers without a GPU, which no service's name tells of: to Dapr they are the medium's."""
WORKERS = (*topics.WORKERS, EDITORS)
DEPLOYMENTS = (*topics.SERVICES, EDITORS)


@dataclass(frozen=True)
class Helm:
    """Raises `kubectl.Refused` for what Helm refuses."""

    program: Path
    kubeconfig: Path = Path("/nowhere")
    namespace: str = "default"

    def __call__(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        given = None
        command = [str(self.program), *arguments, "--namespace", self.namespace]
        if values is not None:
            command, given = [*command, "--values", "-"], json.dumps(values)
        return run(command, given, {**os.environ, "KUBECONFIG": str(self.kubeconfig)})

    def render(self, changes: Mapping[str, Any] | None = None, release: str = RELEASE) -> list[Object]:
        """What the chart comes to, without a cluster."""
        text = self("template", release, str(CHART), values=merged(NEEDED, changes or {}))
        return [found for found in yaml.safe_load_all(text) if found]

    def install(self, changes: Mapping[str, Any] | None = None, *more: str, release: str = RELEASE) -> str:
        """What the user reads afterwards."""
        values = merged(NEEDED, changes or {})
        return self("install", release, str(CHART), "--wait", "--timeout=60s", *more, values=values)

    def upgrade(self, changes: Mapping[str, Any] | None = None, *more: str, release: str = RELEASE) -> None:
        self("upgrade", release, str(CHART), "--wait", "--timeout=60s", *more, values=merged(NEEDED, changes or {}))

    def uninstall(self, release: str = RELEASE) -> None:
        self("uninstall", release, "--wait", "--timeout=60s")


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """As Helm merges: maps go into each other, everything else is replaced."""
    both = dict(values)
    for key, change in changes.items():
        old = both.get(key)
        both[key] = merged(old, change) if isinstance(old, Mapping) and isinstance(change, Mapping) else change
    return both


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """By name, without the release's before it."""
    return {found["metadata"]["name"].removeprefix(f"{RELEASE}-"): found for found in objects if found["kind"] == kind}


def container_of(workload: Object) -> Object:
    """The one container of a deployment or a job."""
    [container] = workload["spec"]["template"]["spec"]["containers"]
    return dict(container)
