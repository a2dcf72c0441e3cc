"""What services tell Prometheus: the page that lists it, and that nobody asks for what nobody tells."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contracts.testing.examples import a_worker
from contracts.workers import GpuReading
from embedded.app import services
from embedded.credentials import Credentials
from gpu_worker.adapters.metrics import Fenced, WorkerMetrics
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Serve, World
from tests.contract.conftest import embedded_in

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "movie-tasks"
NAME = re.compile(r"movie_tasks_[a-z0-9_]+")
UNITS = ("_seconds", "_bytes", "_celsius", "_watts", "_ratio")


@pytest.fixture
async def told(world: World, serve: Serve, tmp_path: Path) -> AsyncIterator[dict[str, Metric]]:
    """Every family of metrics by its name, of all services in one process and of a worker with a GPU."""
    async with serve(services(embedded_in(tmp_path), Credentials(), "memory:///", world.outside)) as running:
        answer = await running.http.get("/metrics")
        found = {_called(family): family for family in text_string_to_metric_families(answer.text)}
        gpu = GpuReading(
            utilisation=1, memory_used_mb=1, memory_total_mb=1, temperature_celsius=1, power_watts=1.0, xid=0
        )
        found |= {_called(family): family for family in WorkerMetrics(lambda: a_worker(gpu=gpu), Fenced()).collect()}
        yield {name: family for name, family in found.items() if name.startswith("movie_tasks_")}


def _called(family: Metric) -> str:
    """As Prometheus keeps it: parsed from text, an info is a gauge by another name."""
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    return family.name.removesuffix(suffix) + suffix if suffix else family.name


def samples_of(told: dict[str, Metric]) -> set[str]:
    """The names that queries may ask for."""
    parts = {"histogram": ("_bucket", "_count", "_sum")}
    return {name + part for name, family in told.items() for part in parts.get(family.type, ("",))}


async def test_names_are_as_prometheus_has_them(told: dict[str, Metric]) -> None:
    for name, family in told.items():
        assert family.type in ("counter", "gauge", "histogram", "info"), name
        assert family.documentation, name
        base = name.removesuffix("_total")
        if family.type == "histogram":
            assert base.endswith("_seconds"), name
        for word in ("second", "byte", "celsius", "watt", "ratio"):
            assert word not in base or base.endswith(UNITS), f"{name} does not end with its unit"


async def test_the_page_lists_each(told: dict[str, Metric]) -> None:
    rows = re.findall(r"^\| `(movie_tasks_\w+)` \|", (ROOT / "k8s" / "METRICS.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(told)


@pytest.mark.parametrize(
    "path",
    [*CHART.glob("dashboards/*.json"), *CHART.glob("monitoring/*.yaml"), CHART / "templates" / "keda.yaml"],
    ids=lambda path: path.name,
)
async def test_nobody_asks_for_what_nobody_tells(told: dict[str, Metric], path: Path) -> None:
    asked = set(NAME.findall(path.read_text()))
    assert asked and asked <= samples_of(told)


async def test_no_series_is_of_one_task_alone(told: dict[str, Metric]) -> None:
    labels = {label for family in told.values() for sample in family.samples for label in sample.labels}
    assert not labels & {"task", "task_id", "correlation_id", "path"}
