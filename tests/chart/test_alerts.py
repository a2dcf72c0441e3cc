"""Alerts: when each fires and when it does not, by promtool; and that each leads somewhere."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.alerting import Series, firing, rules_of
from tests.chart.helm import CHART, ROOT, Helm
from tests.chart.kubectl import Object

OBJECTIVES: list[dict[str, Any]] = yaml.safe_load((CHART / "monitoring" / "slos.yaml").read_text())
BY_NAME = {slo["name"]: slo for slo in OBJECTIVES}
A_MINUTE = 1000.0
"""So much happens, good and bad."""
THRESHOLDS = {
    "api-latency": ("movie_tasks_http_request_duration_seconds", 'route="/api/v1/tasks/submit",status="202"', "0.5"),
    "start": ("movie_tasks_task_wait_seconds", 'medium="image",priority="high"', "60.0"),
    "webhooks": ("movie_tasks_webhook_first_try_seconds", "", "10.0"),
    "reminders": ("movie_tasks_reminder_lateness_seconds", "", "30.0"),
}


def counted(per_minute: float, minutes: int = 500) -> str:
    return f"0+{per_minute:f}x{minutes}"


def with_failures(
    name: str, bad: float, a_minute: float = A_MINUTE, values: Callable[[float], str] = counted
) -> Series:
    """What an objective counts, with this part of it bad."""
    failed, well = values(bad * a_minute), values((1 - bad) * a_minute)
    if name in THRESHOLDS:
        metric, labels, limit = THRESHOLDS[name]
        return {
            f"{metric}_count{{{labels}}}": values(a_minute),
            f'{metric}_bucket{{{labels}{"," if labels else ""}le="{limit}"}}': well,
        }
    if name == "api-availability":
        metric = "movie_tasks_http_request_duration_seconds_count"
        return {f'{metric}{{route="none",status="503"}}': failed, f'{metric}{{route="/x",status="200"}}': well}
    if name == "events":
        return {
            'movie_tasks_deliveries_total{answer="RETRY",topic="task-events"}': failed,
            'movie_tasks_deliveries_total{answer="SUCCESS",topic="task-events"}': well,
        }
    assert name == "tasks"
    return {
        'movie_tasks_tasks_failed_total{blame="platform",medium="image"}': failed,
        'movie_tasks_tasks_ended_total{end="failed",medium="image"}': failed,
        'movie_tasks_tasks_ended_total{end="done",medium="image"}': well,
    }


@pytest.fixture(scope="module")
def groups(helm: Helm) -> list[dict[str, Any]]:
    [rules] = [found for found in helm.render({"alerts": {"enabled": True}}) if found["kind"] == "PrometheusRule"]
    found: list[dict[str, Any]] = rules["spec"]["groups"]
    return found


@pytest.fixture(scope="module")
def burn_rates(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [group for group in groups if group["name"] != "movie-tasks-alerts"]


@pytest.fixture(scope="module")
def others(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [group for group in groups if group["name"] == "movie-tasks-alerts"]


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize(
    ("burning", "after", "speeds"),
    [(15, "90m", {"Fast"}), (7, "7h", {"Fast", "Slow"}), (2, "7h", {"Slow"}), (0.9, "8h", set())],
)
def test_an_objective_is_missed_as_fast_as_it_is(
    burn_rates: list[dict[str, Any]], tmp_path: Path, name: str, burning: float, after: str, speeds: set[str]
) -> None:
    allowed = (100 - BY_NAME[name]["objective"]) / 100
    found = firing(tmp_path, burn_rates, with_failures(name, burning * allowed), after)
    if after == "90m":
        found = {alert for alert in found if not alert.endswith("Slow")}
    assert found == {f"MovieTasks{BY_NAME[name]['alert']}{speed}" for speed in speeds}


def test_what_is_well_again_wakes_nobody(burn_rates: list[dict[str, Any]], tmp_path: Path) -> None:
    """The short window has forgotten what the long one has not."""

    def until_noon(per_minute: float) -> str:
        return f"0+{per_minute:f}x60 {60 * per_minute:f}+0x60"

    series = dict(with_failures("api-availability", 0.5, values=until_noon))
    series['movie_tasks_http_request_duration_seconds_count{route="/y",status="200"}'] = counted(A_MINUTE)
    assert "MovieTasksApiErrorsFast" in firing(tmp_path, burn_rates, series, "62m")
    assert "MovieTasksApiErrorsFast" not in firing(tmp_path, burn_rates, series, "100m")


def test_where_little_happens_one_failure_wakes_nobody(burn_rates: list[dict[str, Any]], tmp_path: Path) -> None:
    found = firing(tmp_path, burn_rates, with_failures("tasks", 0.5, a_minute=10 / 60), "3h")
    assert found == {"MovieTasksTasksFailSlow"}
    assert firing(tmp_path, burn_rates, with_failures("tasks", 0.5, a_minute=10 / 1440), "8h") == set()


@pytest.mark.parametrize("name", BY_NAME)
def test_without_anything_happening_nothing_is_missed(
    burn_rates: list[dict[str, Any]], tmp_path: Path, name: str
) -> None:
    assert firing(tmp_path, burn_rates, with_failures(name, 0, a_minute=0), "90m") == set()


def test_what_the_request_is_to_blame_for_is_no_failure_of_the_platform(
    burn_rates: list[dict[str, Any]], tmp_path: Path
) -> None:
    series = {name.replace("platform", "request"): values for name, values in with_failures("tasks", 0.5).items()}
    assert firing(tmp_path, burn_rates, series, "90m") == set()


ALIVE = {
    f'movie_tasks_build_info{{service="{service}"}}': "1x500"
    for service in ("submission", "scheduling", "storage", "notification")
}
LOST = 'movie_tasks_attempt_failures_total{cause="worker-lost",medium="image",then="retried"}'
QUIET: dict[str, str] = ALIVE | {
    'movie_tasks_leader{pod="a"}': "1x500",
    'movie_tasks_leader{pod="b"}': "0x500",
    'movie_tasks_backlog_gpu_seconds{medium="image",state="queued"}': "60x500",
    'movie_tasks_backlog_tasks{medium="image",state="queued"}': "5x500",
    'movie_tasks_busy_workers{medium="image"}': "2x500",
    'movie_tasks_queue_oldest_seconds{medium="image",project="p",priority="high"}': "30x500",
    'movie_tasks_dead_letters_total{topic="task-events"}': "3x500",
    LOST: "7x500",
    'movie_tasks_worker_state{state="defunct",worker="w"}': "0x500",
    'movie_tasks_gpu_xid{worker="w"}': "0x500",
    'movie_tasks_gpu_temperature_celsius{worker="w"}': "70x500",
    'movie_tasks_gpu_memory_used_bytes{worker="w"}': "90x500",
    'movie_tasks_gpu_memory_bytes{worker="w"}': "100x500",
    'movie_tasks_gpu_seconds_total{medium="image"}': counted(50),
    'movie_tasks_wasted_gpu_seconds_total{cause="worker-lost",medium="image"}': counted(5),
    'movie_tasks_webhook_deliveries_ended_total{state="failed"}': "2x500",
}
"""Nothing is wrong, and each alert finds what it asks for."""
WRONG: list[tuple[str, str | None, str]] = [
    ("ServiceAbsent", 'movie_tasks_build_info{service="storage"}', "1x10 stale"),
    ("NoLeader", 'movie_tasks_leader{pod="a"}', "1x10 0x500"),
    ("TwoLeaders", 'movie_tasks_leader{pod="b"}', "1x500"),
    ("BacklogUnknown", 'movie_tasks_backlog_gpu_seconds{medium="image",state="queued"}', "60x5 stale"),
    ("NobodyWorks", 'movie_tasks_busy_workers{medium="image"}', "0x500"),
    ("TaskWaitsLong", 'movie_tasks_queue_oldest_seconds{medium="image",project="p",priority="high"}', "3500+60x500"),
    ("DeadLetters", 'movie_tasks_dead_letters_total{topic="task-events"}', "3x415 4x100"),
    ("WorkersLost", LOST, "7x410 12x99"),
    ("WorkerUnfit", 'movie_tasks_worker_state{state="defunct",worker="w"}', "1x500"),
    ("GpuFault", 'movie_tasks_gpu_xid{worker="w"}', "79x500"),
    ("GpuHot", 'movie_tasks_gpu_temperature_celsius{worker="w"}', "90x500"),
    ("GpuMemoryFull", 'movie_tasks_gpu_memory_used_bytes{worker="w"}', "99x500"),
    ("GpuTimeWasted", 'movie_tasks_wasted_gpu_seconds_total{cause="worker-lost",medium="image"}', counted(20)),
    ("WebhooksGivenUp", 'movie_tasks_webhook_deliveries_ended_total{state="failed"}', "2x410 3x100"),
]  # fmt: skip


def test_of_a_platform_that_is_well_nothing_is_said(others: list[dict[str, Any]], tmp_path: Path) -> None:
    assert firing(tmp_path, others, QUIET, "7h") == set()


@pytest.mark.parametrize(("alert", "series", "values"), WRONG, ids=[alert for alert, _, _ in WRONG])
def test_what_is_wrong_is_said_and_nothing_else(
    others: list[dict[str, Any]], tmp_path: Path, alert: str, series: str, values: str
) -> None:
    assert series in QUIET
    assert firing(tmp_path, others, QUIET | {series: values}, "7h") == {f"MovieTasks{alert}"}


WAITING = 'movie_tasks_backlog_tasks{{medium="video",model="{}",state="queued"}}'
BUSY = 'movie_tasks_busy_workers{{medium="video",model="{}"}}'


@pytest.mark.parametrize(
    ("waiting", "at_work", "alerts"),
    [
        ("wan-2.1-small", "mux", {"MovieTasksNobodyWorks"}),
        ("mux", "wan-2.1-small", {"MovieTasksNobodyWorks"}),
        ("mux", "concat", set()),
        ("wan-2.1-small", "ltx-video", set()),
    ],
)
def test_who_edits_does_not_hide_that_nobody_renders_and_the_other_way_round(
    others: list[dict[str, Any]], tmp_path: Path, waiting: str, at_work: str, alerts: set[str]
) -> None:
    """Both make videos."""
    models = (waiting, at_work)
    series = {WAITING.format(model): "3x500" if model == waiting else "0x500" for model in models}
    series |= {BUSY.format(model): "1x500" if model == at_work else "0x500" for model in models}
    assert firing(tmp_path, others, QUIET | series, "7h") == alerts


def test_each_alert_is_tried(groups: list[dict[str, Any]]) -> None:
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    burning = {f"MovieTasks{slo['alert']}{speed}" for slo in OBJECTIVES for speed in ("Fast", "Slow")}
    assert alerts == burning | {f"MovieTasks{alert}" for alert, _, _ in WRONG}


def anchors() -> dict[str, str]:
    """What the runbook's entries are reached by, as GitHub makes it of a heading, with their texts."""
    entries = re.split(r"^## ", (ROOT / "k8s" / "RUNBOOK.md").read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for entry in entries:
        heading, _, text = entry.partition("\n")
        found[re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")] = text
    return found


def test_each_alert_leads_to_an_entry_that_names_it_and_says_what_to_do(groups: list[dict[str, Any]]) -> None:
    entries = anchors()
    for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
        base, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert base == "k8s/RUNBOOK.md"
        assert rule["alert"] in entries[anchor], f"{rule['alert']} leads to {anchor}, which does not name it"
        assert "**Check.**" in entries[anchor] and "**Fix.**" in entries[anchor]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]


def test_places_within_the_runbook_that_it_names_are_there() -> None:
    text = (ROOT / "k8s" / "RUNBOOK.md").read_text()
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= set(anchors())


def test_the_page_on_objectives_says_the_same() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([\d.]+) \|", (ROOT / "k8s" / "SLO.md").read_text(), re.MULTILINE)
    assert {name: float(objective) for name, objective in rows} == {slo["name"]: slo["objective"] for slo in OBJECTIVES}


def test_values_may_name_these_objectives_and_no_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]["alerts"]["properties"]["objectives"]["properties"]) == set(BY_NAME)


def test_values_set_other_objectives(helm: Helm, tmp_path: Path) -> None:
    values = {"alerts": {"enabled": True, "objectives": {"api-availability": 90}, "runbook": "https://wiki/runbook"}}
    [rules] = [found for found in helm.render(values) if found["kind"] == "PrometheusRule"]
    assert firing(tmp_path, rules["spec"]["groups"][:2], with_failures("api-availability", 0.09), "90m") == set()
    assert {rule["annotations"]["runbook_url"].partition("#")[0] for rule in rules_of([rules]) if "alert" in rule} == {
        "https://wiki/runbook"
    }


def test_without_being_asked_for_there_are_none(helm: Helm) -> None:
    found: list[Object] = helm.render()
    assert not [one for one in found if one["kind"] in ("PrometheusRule", "PodMonitor")]
    assert not [one for one in found if "dashboard" in one["metadata"]["name"]]
