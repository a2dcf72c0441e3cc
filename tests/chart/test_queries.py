"""What KEDA asks Prometheus, answered by promtool: so many seconds, nought, or nothing at all."""

from pathlib import Path
from typing import Any

import pytest
from contracts.topics import App

from tests.chart.alerting import answer
from tests.chart.helm import EDITORS, WORKERS, Helm, of_kind

SECONDS_PER_WORKER = 100
VALUES: dict[str, Any] = {
    "keda": {"enabled": True, "prometheus": "http://p", "secondsPerWorker": SECONDS_PER_WORKER},
}
IMAGES = {
    'movie_tasks_backlog_gpu_seconds{medium="image",model="sdxl",state="queued",pod="a"}': "600",
    'movie_tasks_backlog_gpu_seconds{medium="image",model="sdxl",state="queued",pod="b"}': "600",
    'movie_tasks_backlog_gpu_seconds{medium="image",model="flux-schnell",state="queued",pod="a"}': "30",
    'movie_tasks_backlog_gpu_seconds{medium="image",model="sdxl",state="running",pod="a"}': "999",
    'movie_tasks_busy_workers{medium="image",model="sdxl",pod="a"}': "2",
    'movie_tasks_busy_workers{medium="image",model="flux-schnell",pod="a"}': "1",
}
"""What two replicas of scheduling say where nothing but images is offered."""
EDITING = {
    'movie_tasks_backlog_gpu_seconds{medium="video",model="mux",state="queued"}': "5",
    'movie_tasks_busy_workers{medium="video",model="mux"}': "0",
}


@pytest.fixture(scope="module")
def queries(helm: Helm) -> dict[str, str]:
    found = of_kind(helm.render(VALUES), "ScaledObject")
    return {name: one["spec"]["triggers"][0]["metadata"]["query"] for name, one in found.items()}


def test_what_waits_and_who_is_at_it(queries: dict[str, str], tmp_path: Path) -> None:
    assert answer(tmp_path, queries[App.GPU_WORKER_IMAGE], IMAGES | EDITING) == 600 + 30 + 3 * SECONDS_PER_WORKER
    assert answer(tmp_path, queries[EDITORS], IMAGES | EDITING) == 5


@pytest.mark.parametrize("name", [name for name in WORKERS if name != App.GPU_WORKER_IMAGE])
def test_of_what_is_not_offered_nothing_waits(queries: dict[str, str], tmp_path: Path, name: str) -> None:
    """No answer would be taken for a fault, and start a worker on a GPU that nobody needs."""
    assert answer(tmp_path, queries[name], IMAGES) == 0


@pytest.mark.parametrize("name", WORKERS)
def test_where_nothing_is_counted_there_is_no_answer(queries: dict[str, str], tmp_path: Path, name: str) -> None:
    """Nought would have those go who render. What another release's scheduling counts is nothing to this one."""
    assert answer(tmp_path, queries[name], {'movie_tasks_build_info{service="scheduling"}': "1"}) is None
    assert answer(tmp_path, queries[name], IMAGES | EDITING, namespace="other") is None
