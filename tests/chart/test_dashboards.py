"""Dashboards: what the chart ships is what the code says, and each query is one."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.alerting import promtool
from tests.chart.helm import CHART, ROOT, Helm, of_kind

FOLDER = CHART / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
GRAFANAS = {"$__rate_interval": "1m", "$namespace": "movie-tasks", "$project": ".*"}


def queries(path: Path) -> Iterator[str]:
    """What is asked of Prometheus, with Grafana's variables filled in."""
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel.get("targets", ()):
            if target["datasource"]["type"] == "prometheus":
                query = target["expr"]
                for name, value in GRAFANAS.items():
                    query = query.replace(name, value)
                yield query


def test_there_are_those_that_are_promised() -> None:
    assert [path.stem for path in FILES] == ["fleet", "overview", "task", "tenants"]


def test_they_are_as_the_code_has_them(tmp_path: Path) -> None:
    """After a change: `make dashboards`."""
    script = "import sys; sys.path.insert(0, 'k8s/monitoring'); import dashboards, json\n"
    script += "print(json.dumps({name: dashboards.written(one) for name, one in dashboards.DASHBOARDS.items()}))"
    said = subprocess.run(["python", "-c", script], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert json.loads(said) == {path.stem: path.read_text() for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_prometheus_understands_each_query(path: Path, tmp_path: Path) -> None:
    rules = [{"record": f"q:{number}", "expr": query} for number, query in enumerate(queries(path))]
    assert rules
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    command = [promtool(), "check", "rules", "rules.yaml"]
    checked = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert not re.search(r"\$\w", yaml.safe_dump(rules)), "a variable that nobody fills in"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_replicas_share_is_not_added_up(path: Path) -> None:
    """Each of them says the same of the backlog, the queue and what projects were charged."""
    shared = r"movie_tasks_(queue|backlog|busy|project)_\w+"
    for query in queries(path):
        for found in re.finditer(shared, query):
            before = re.sub(r"(rate|increase)\($", "", query[: found.start()])
            assert re.search(r"max( by \([\w, ]+\))? \($|max\($", before), query


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_panels_lie_beside_each_other(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        at: dict[str, Any] = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells


def test_grafanas_sidecar_finds_them_by_their_label(helm: Helm) -> None:
    values = {"dashboards": {"enabled": True, "labels": {"found": "here"}, "annotations": {"grafana_folder": "Movies"}}}
    maps = {name: one for name, one in of_kind(helm.render(values), "ConfigMap").items() if "dashboard" in name}
    assert set(maps) == {f"dashboard-{path.stem}" for path in FILES}
    for path in FILES:
        one = maps[f"dashboard-{path.stem}"]
        assert one["data"] == {path.name: path.read_text()}, "what Grafana marks by braces is left as it is"
        assert one["metadata"]["labels"]["found"] == "here"
        assert one["metadata"]["annotations"] == {"grafana_folder": "Movies"}
