"""The queue by projects, in Prometheus' words, looked up at every scrape. Replicas share it and say the same; only who
leads is each one's own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from contracts.errors import RetryableError
from contracts.ports import Clock
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduling.ports import Depth, Depths, Ledger

MOST_PROJECTS = 100
"""Those with the most tasks waiting are named, and the rest is one: a series for each of ten thousand projects would
cost more than it tells."""
THE_REST = "_other"
"""No project can be called that."""


class QueueMetrics(Collector):
    def __init__(
        self,
        depths: Depths,
        ledger: Ledger,
        leads: Callable[[], bool],
        clock: Clock,
        most: int = MOST_PROJECTS,
    ) -> None:
        self._depths = depths
        self._ledger = ledger
        self._leads = leads
        self._clock = clock
        self._most = most
        self._found: tuple[datetime, Sequence[Depth], Mapping[str, float]] | None = None

    async def measure(self) -> None:
        self._found = None
        now = self._clock.now()
        try:
            self._found = now, await self._depths.of_queue(now), await self._ledger.most_charged(self._most)
        except RetryableError:
            return

    def collect(self) -> Iterator[Metric]:
        leader = GaugeMetricFamily("movie_tasks_leader", "1 for the replica of scheduling that leads")
        leader.add_metric([], float(self._leads()))
        yield leader
        if self._found is None:
            return
        now, depths, charged = self._found
        labels = ["medium", "project", "priority"]
        tasks = GaugeMetricFamily("movie_tasks_queue_tasks", "Tasks that may start and have not", labels=labels)
        oldest = GaugeMetricFamily(
            "movie_tasks_queue_oldest_seconds", "How long the longest of them has waited", labels=labels
        )
        for depth in folded(depths, self._most):
            kind = [depth.medium.value, depth.project_id, depth.priority.value]
            tasks.add_metric(kind, depth.tasks)
            oldest.add_metric(kind, max(0.0, (now - depth.oldest).total_seconds()))
        seconds = CounterMetricFamily(
            "movie_tasks_project_gpu_seconds", "Device time that a project was ever charged for", labels=["project"]
        )
        for project_id, in_all in charged.items():
            seconds.add_metric([project_id], in_all)
        yield from (tasks, oldest, seconds)


def folded(depths: Sequence[Depth], most_projects: int) -> Sequence[Depth]:
    """The same tasks, under the names of the projects that have most of them."""
    of_project: dict[str, int] = {}
    for depth in depths:
        of_project[depth.project_id] = of_project.get(depth.project_id, 0) + depth.tasks
    named = set(sorted(of_project, key=lambda project_id: (-of_project[project_id], project_id))[:most_projects])
    found: dict[tuple[str, str, str], Depth] = {}
    for depth in depths:
        one = depth if depth.project_id in named else depth._replace(project_id=THE_REST)
        kind = one.medium.value, one.project_id, one.priority.value
        before = found.get(kind)
        if before is not None:
            one = one._replace(tasks=before.tasks + one.tasks, oldest=min(before.oldest, one.oldest))
        found[kind] = one
    return [*found.values()]
