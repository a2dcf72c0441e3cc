"""Rules of the chart, judged by promtool over series that the test invents."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.kubectl import Object

NAMESPACE = "default"
Series = Mapping[str, str]
"""A metric with its labels, and its values minute by minute in promtool's notation."""


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.fail("There is no promtool here (Debian: apt-get install --no-install-recommends prometheus).")
    return found


def rules_of(objects: Sequence[Object]) -> list[dict[str, Any]]:
    return [rule for found in objects if found["kind"] == "PrometheusRule" for rule in _rules(found)]


def _rules(found: Object) -> list[dict[str, Any]]:
    return [rule for group in found["spec"]["groups"] for rule in group["rules"]]


def in_namespace(series: Series, namespace: str = NAMESPACE) -> dict[str, str]:
    """As Prometheus' operator labels what it scrapes."""
    label = f'namespace="{namespace}"'
    return {
        name.replace("{", f"{{{label},", 1) if "{" in name else f"{name}{{{label}}}": values
        for name, values in series.items()
    }


def firing(folder: Path, groups: list[dict[str, Any]], series: Series, after: str) -> set[str]:
    """The alerts that fire after so long."""
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    alerts = sorted({rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule})
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in in_namespace(series).items()],
        # Nothing is expected, so that whatever there is is told.
        "promql_expr_test": [
            {"expr": f'group(ALERTS{{alertname="{alert}",alertstate="firing"}})', "eval_time": after}
            for alert in alerts
        ],
    }
    # Hours in seconds: rules are asked less often than Prometheus would.
    file = {"rule_files": ["rules.yaml"], "evaluation_interval": "5m", "tests": [test]}
    (folder / "test.yaml").write_text(yaml.safe_dump(file))
    said = _judged(folder)
    found = set(re.findall(r'expr: "group\(ALERTS\{alertname=\\?"(\w+)\\?"', said))
    assert bool(found) == ("FAILED" in said), said
    return found


def answer(folder: Path, query: str, series: Series, namespace: str = NAMESPACE) -> float | None:
    """What Prometheus would say, of one value without labels at most."""
    test = {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": values} for name, values in in_namespace(series, namespace).items()
        ],
        "promql_expr_test": [{"expr": query, "eval_time": "0m"}],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    said = _judged(folder)
    found = re.findall(r"^ *got:(?: {})? (\S+)$", said, re.MULTILINE)
    assert len(found) == ("FAILED" in said), said
    return float(found[0]) if found else None


def _judged(folder: Path) -> str:
    """Wherever nothing is expected, promtool says what there is instead."""
    command = [promtool(), "test", "rules", "test.yaml"]
    judged = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=60)
    said = judged.stdout + judged.stderr
    assert "SUCCESS" in said or "FAILED" in said, said
    return said
