"""KEDA and a Prometheus scale the chart's workers by what scheduling says: from none, to none, and never a busy one."""

import asyncio
import os
import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from contracts.catalog import read_catalog
from contracts.errors import RetryableError
from contracts.pauses import Pauses
from contracts.testing import SettableClock
from contracts.topics import App
from embedded.processes import free_ports
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from scheduling.adapters.backlog_metrics import BacklogMetrics
from scheduling.adapters.queue import SqlQueue
from scheduling.domain.backlog import Kind
from scheduling.domain.budgets import Terms
from scheduling.ports import Backlog

from tests.chart.control_plane import GPU_NODES, LOOPBACK, SLICE
from tests.chart.keda import keda
from tests.chart.kubectl import Kubectl, until
from tests.chart.tenant import Tenant
from tests.chart.test_scaling import COST
from tests.monitoring.scraping import prometheus

MODEL = next(model for model in read_catalog().models if model.key == "sdxl")
TASKS_PER_WORKER, MOST, FALLBACK, COOLDOWN = 10, 5, 2, 3
VALUES: dict[str, Any] = {
    "keda": {
        "enabled": True,
        "secondsPerWorker": int(TASKS_PER_WORKER * MODEL.run_seconds),
        "maxReplicas": MOST,
        "fallbackReplicas": FALLBACK,
        "pollingSeconds": 1,
        "cooldownSeconds": COOLDOWN,
    },
    "workerDefaults": {"gpu": {"resource": SLICE}},
    "workers": {name: {"enabled": False} for name in ("video", "editing")},
}
WORKERS = App.GPU_WORKER_IMAGE
LONGER_THAN_SCALING_IN_TAKES = 3 * COOLDOWN


class GivenQueue(SqlQueue):
    def __init__(self) -> None:
        self.now = Backlog({}, {}, {})
        self.is_away = False

    async def backlog(self, now: datetime) -> Backlog:
        if self.is_away:
            raise RetryableError("the queue's database does not answer")
        return self.now


class AtEachScrape(Collector):
    """As the service has it."""

    def __init__(self, metrics: BacklogMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        asyncio.run(self._metrics.measure())
        return self._metrics.collect()


@dataclass
class Scheduling:
    """What it says of a queue that the test fills, at addresses that a Prometheus scrapes."""

    queue: GivenQueue
    prometheus: str
    prometheus_alone: ExitStack

    def has(self, waiting: int = 0, busy: int = 0) -> None:
        """Tasks that wait, and workers that have one."""
        of = Kind("film", MODEL.medium, MODEL.key)
        self.queue.now = Backlog({of: waiting}, {of: busy}, {(MODEL.medium, MODEL.key): busy})

    def loses_its_database(self) -> None:
        self.queue.is_away = True

    def has_its_database_again(self) -> None:
        self.queue.is_away = False

    def loses_prometheus(self) -> None:
        self.prometheus_alone.close()


async def no_terms(_projects: Collection[str]) -> Terms:
    return Terms()


async def no_pauses() -> Pauses:
    return Pauses()


@pytest.fixture(scope="module", autouse=True)
def scaled_by_keda(cluster: Kubectl) -> Iterator[None]:
    with keda(Path(os.environ["MOVIE_TASKS_KEDA_BIN"]), cluster):
        yield


@pytest.fixture
def scheduling(tenant: Tenant, tmp_path: Path) -> Iterator[Scheduling]:
    """Two replicas of it, which say the same."""
    queue, registry = GivenQueue(), CollectorRegistry()
    registry.register(AtEachScrape(BacklogMetrics(queue, no_terms, no_pauses, read_catalog(), SettableClock())))
    ports = free_ports(2)
    targets = {"targets": [f"{LOOPBACK}:{port}" for port in ports], "labels": {"namespace": tenant.kubectl.namespace}}
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "scheduling", "static_configs": [targets]}],
    }
    with ExitStack() as stack:
        for port in ports:
            server, thread = start_http_server(port, LOOPBACK, registry)
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        with ExitStack() as prometheus_alone:
            address = prometheus_alone.enter_context(prometheus(tmp_path, config))
            yield Scheduling(queue, address, prometheus_alone)


@pytest.fixture
def scaled(tenant: Tenant, scheduling: Scheduling) -> Tenant:
    """A release whose workers are KEDA's to count, and which has none, because there is nothing to do."""
    tenant.helm.install({**VALUES, "keda": {**VALUES["keda"], "prometheus": scheduling.prometheus}})
    tenant.until_running(WORKERS, 0)
    return tenant


def test_from_none_to_what_waits_and_to_the_most_and_back_to_none(scaled: Tenant, scheduling: Scheduling) -> None:
    scheduling.has(waiting=2 * TASKS_PER_WORKER + 5)
    on = {pod["spec"]["nodeName"] for pod in scaled.until_running(WORKERS, 3)}
    assert on <= set(GPU_NODES)
    assert not scaled.pods(App.GPU_WORKER_AUDIO), "images are no work for those who make sound"
    scheduling.has(waiting=5 * MOST * TASKS_PER_WORKER, busy=3)
    scaled.until_running(WORKERS, MOST)
    scheduling.has()
    scaled.until_running(WORKERS, 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_from_five_to_two_the_two_that_are_busy_stay(scaled: Tenant, scheduling: Scheduling, seed: int) -> None:
    scheduling.has(waiting=5 * TASKS_PER_WORKER)
    names = sorted(pod["metadata"]["name"] for pod in scaled.until_running(WORKERS, 5))
    busy = random.Random(seed).sample(names, 2)
    for name in busy:
        scaled.kubectl("annotate", "pod", name, f"{COST}=1000")
    scheduling.has(busy=2)
    left = scaled.until_running(WORKERS, 2)
    assert {pod["metadata"]["name"] for pod in left} == set(busy)


@pytest.mark.parametrize("lost", [Scheduling.loses_its_database, Scheduling.loses_prometheus])
def test_while_nothing_can_be_measured_somebody_works(
    scaled: Tenant, scheduling: Scheduling, lost: Callable[[Scheduling], None]
) -> None:
    """Whether scheduling says nothing or nobody can be asked."""
    lost(scheduling)
    scaled.until_running(WORKERS, FALLBACK)
    assert falls_back(scaled)


def test_while_nothing_can_be_measured_no_worker_goes(scaled: Tenant, scheduling: Scheduling) -> None:
    """Each of them may be in the middle of a render."""
    scheduling.has(busy=FALLBACK + 2)
    names = {pod["metadata"]["name"] for pod in scaled.until_running(WORKERS, FALLBACK + 2)}
    scheduling.loses_its_database()
    until(lambda: falls_back(scaled))
    deadline = time.monotonic() + LONGER_THAN_SCALING_IN_TAKES
    while time.monotonic() < deadline:
        assert {pod["metadata"]["name"] for pod in scaled.pods(WORKERS)} == names
    scheduling.has()
    scheduling.has_its_database_again()
    scaled.until_running(WORKERS, 0)
    assert not falls_back(scaled)


def falls_back(tenant: Tenant) -> bool:
    [found] = [one for one in tenant.kubectl.get("scaledobjects") if one["metadata"]["name"].endswith(WORKERS)]
    return any(one["type"] == "Fallback" and one["status"] == "True" for one in found["status"]["conditions"])
