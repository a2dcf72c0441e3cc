"""Grafana's dashboards as values, and the JSON that Grafana reads. Only what these dashboards need of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COLUMNS = 24
PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
LOKI = {"type": "loki", "uid": "${loki}"}
SCHEMA = 39
"""Grafana's for its dashboards, since 10.4; newer ones read it."""


@dataclass(frozen=True)
class Panel:
    title: str
    queries: Mapping[str, str]
    """PromQL, or LogQL in a panel of logs, by its legend."""
    unit: str = "short"
    kind: str = "timeseries"
    about: str = ""
    """What a reader must know to read it; markdown in a panel of text."""
    width: int = 8
    height: int = 7
    stacked: bool = False
    most: float | None = None


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    about: str
    panels: Sequence[Panel]
    variables: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    every: str = "30s"


def datasource(name: str) -> dict[str, Any]:
    return {"type": "datasource", "name": name, "query": name, "label": name.capitalize()}


def label_values(name: str, metric: str, label: str, *, many: bool = False) -> dict[str, Any]:
    query = f"label_values({metric}, {label})"
    all_of_them = {"includeAll": True, "multi": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return {
        "type": "query",
        "name": name,
        "label": name.capitalize(),
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        **(all_of_them if many else {}),
    }


def textbox(name: str, label: str, value: str = "") -> dict[str, Any]:
    return {"type": "textbox", "name": name, "label": label, "query": value, "current": {"text": value, "value": value}}


def to_json(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["movie-tasks"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "graphTooltip": 1,
        "refresh": dashboard.every,
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [*dashboard.variables]},
        "links": [
            {
                "type": "dashboards",
                "title": "Movie Tasks",
                "tags": ["movie-tasks"],
                "asDropdown": True,
                "keepTime": True,
            }
        ],
        "panels": [
            {"id": number, "gridPos": place, **_panel(panel)}
            for number, (panel, place) in enumerate(zip(dashboard.panels, places(dashboard.panels), strict=True), 1)
        ],
    }


def places(panels: Sequence[Panel]) -> list[dict[str, int]]:
    """From left to right in rows, each as high as its highest."""
    found: list[dict[str, int]] = []
    x = y = row = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, row = 0, y + row, 0
        found.append({"x": x, "y": y, "w": panel.width, "h": panel.height})
        x, row = x + panel.width, max(row, panel.height)
    return found


def _panel(panel: Panel) -> dict[str, Any]:
    common: dict[str, Any] = {"type": panel.kind, "title": panel.title}
    if panel.kind == "text":
        return common | {"options": {"mode": "markdown", "content": panel.about}}
    source = LOKI if panel.kind == "logs" else PROMETHEUS
    common |= {"description": panel.about, "datasource": source, "targets": _targets(panel, source)}
    if panel.kind == "logs":
        return common | {"options": {"showTime": True, "wrapLogMessage": True, "sortOrder": "Ascending"}}
    custom: dict[str, Any] = {}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none"}
        custom = {"fillOpacity": 25 if panel.stacked else 8, "showPoints": "never", "stacking": stacking}
    defaults = {"unit": panel.unit, "min": 0, "custom": custom}
    if panel.kind == "stat" and panel.unit == "short":
        defaults["decimals"] = 0
    if panel.most is not None:
        defaults["max"] = panel.most
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    if panel.kind in ("stat", "bargauge"):
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "orientation": "horizontal"}
    return common | {"fieldConfig": {"defaults": defaults, "overrides": []}, "options": options}


def _targets(panel: Panel, source: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "refId": chr(ord("A") + number),
            "datasource": source,
            "expr": query,
            "legendFormat": legend,
            "instant": panel.kind in ("stat", "bargauge"),
        }
        for number, (legend, query) in enumerate(panel.queries.items())
    ]
