"""The dashboards as pictures, from a real Prometheus: what Grafana would ask, and roughly what it would draw.

Each query is asked as it stands in the chart, with Grafana's variables filled in, and a browser draws what comes back.
A panel whose queries find nothing says so.
"""

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import sync_playwright

from tests.monitoring.drawing import Frame, Line, bars, chart, even, in_unit, stacked

DASHBOARDS = Path(__file__).parents[2] / "charts" / "movie-tasks" / "dashboards"
COLUMN, ROW, GAP, HEAD = 62, 34, 8, 48
POINTS = 250
MOST_LINES = 24
STYLE = """
body{background:#111217;color:#ccccdc;font:13px Inter,"Liberation Sans",sans-serif;margin:0}
h1{font-size:18px;margin:12px 16px}
.panel{position:absolute;background:#181b1f;border:1px solid #25282e;border-radius:3px;box-sizing:border-box;
 padding:6px 9px;overflow:hidden}
.panel b{font-weight:500}
.none{color:#777;position:absolute;top:45%;left:0;right:0;text-align:center}
.stat{font-size:27px;color:#73bf69;text-align:center;margin-top:22px}
svg{position:absolute;left:0;top:0} svg text{fill:#8e8e9b;font-size:10px;text-anchor:end}
.legend{font-size:11px;position:absolute;bottom:3px;left:9px;right:9px;height:32px;overflow:hidden;line-height:16px}
.legend span{white-space:nowrap} .legend i{display:inline-block;width:12px;height:3px;margin:0 4px 3px 8px}
.bar{margin:7px 0} .bar label{display:inline-block;width:130px}
.bar i{display:inline-block;height:14px;vertical-align:middle;background:#73bf69}
pre{font:11px "Liberation Mono",monospace;white-space:pre-wrap;margin:6px 0}
"""


@dataclass(frozen=True)
class Asked:
    """Which Prometheus, of when, what Grafana's variables stand for, and what was logged of the chosen task."""

    address: str
    start: float
    end: float
    variables: Mapping[str, str]
    logs: Sequence[str]

    @property
    def step(self) -> float:
        return max(2.0, (self.end - self.start) / POINTS)

    def filled(self, text: str) -> str:
        for name, value in self.variables.items():
            text = text.replace(f"${{{name}}}", value).replace(f"${name}", value)
        return text

    def lines(self, target: Mapping[str, Any]) -> list[Line]:
        """Raises `httpx.HTTPStatusError` for what Prometheus does not understand."""
        instant = target["instant"]
        when = {"time": self.end} if instant else {"start": self.start, "end": self.end, "step": self.step}
        data = {"query": self.filled(target["expr"]), **when}
        path = "query" if instant else "query_range"
        answer = httpx.post(f"{self.address}/api/v1/{path}", data=data, trust_env=False, timeout=60)
        answer.raise_for_status()
        return [
            Line(_named(target["legendFormat"], found["metric"]), _points(found))
            for found in answer.json()["data"]["result"]
        ]


def _named(legend: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        legend = legend.replace(f"{{{{{name}}}}}", value)
    return legend


def _points(found: Mapping[str, Any]) -> list[tuple[float, float]]:
    values = found.get("values") or [found["value"]]
    return [(at, float(value)) for at, value in values if not math.isnan(float(value))]


def _panel(panel: Mapping[str, Any], asked: Asked) -> str:
    at = panel["gridPos"]
    width, height = at["w"] * COLUMN - GAP, at["h"] * ROW - GAP
    place = f"left:{at['x'] * COLUMN + GAP}px;top:{at['y'] * ROW + HEAD}px;width:{width}px;height:{height}px"
    content = _content(panel, asked, width, height)
    return f'<div class="panel" style="{place}"><b>{html.escape(panel["title"])}</b>{content}</div>'


def _content(panel: Mapping[str, Any], asked: Asked, width: int, height: int) -> str:
    match panel["type"]:
        case "text":
            return f"<pre>{html.escape(asked.filled(panel['options']['content']))}</pre>"
        case "logs":
            return f"<pre>{html.escape(chr(10).join(asked.logs[:MOST_LINES]))}</pre>"
    lines = [line for target in panel["targets"] for line in asked.lines(target) if line.points]
    if not lines:
        return '<div class="none">nothing</div>'
    defaults = panel["fieldConfig"]["defaults"]
    unit = defaults["unit"]
    match panel["type"]:
        case "stat":
            return f'<div class="stat">{in_unit(lines[0].points[-1][1], unit)}</div>'
        case "bargauge":
            return bars(lines, unit)
    filled = defaults["custom"]["stacking"]["mode"] == "normal"
    lines = stacked(lines) if filled else lines
    most = max(value for line in lines for _, value in line.points)
    frame = Frame(width, height, asked.start, asked.end, asked.step, unit, defaults.get("max") or even(most))
    return chart(lines, frame, filled=filled)


def page(dashboard: Mapping[str, Any], asked: Asked) -> str:
    panels = "".join(_panel(panel, asked) for panel in dashboard["panels"])
    return f"<meta charset=utf-8><style>{STYLE}</style><h1>{html.escape(dashboard['title'])}</h1>{panels}"


def take(folder: Path, browser: str, asked: Asked) -> None:
    """One picture for each dashboard."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for path in sorted(DASHBOARDS.glob("*.json")):
            dashboard = json.loads(path.read_text())
            lowest = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
            size = {"width": 24 * COLUMN + GAP, "height": lowest * ROW + HEAD}
            view = running.new_page(viewport=size)  # type: ignore[arg-type]
            view.set_content(page(dashboard, asked))
            view.screenshot(path=folder / f"{path.stem}.png")
        running.close()
