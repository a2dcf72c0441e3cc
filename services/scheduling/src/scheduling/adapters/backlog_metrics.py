"""The backlog in Prometheus' words, counted anew at every scrape. Replicas share the queue and say the same."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping

from contracts.catalog import Catalog
from contracts.errors import RetryableError
from contracts.media import Medium
from contracts.pauses import Pauses
from contracts.ports import Clock
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduling.domain.backlog import affordable
from scheduling.domain.budgets import Terms
from scheduling.ports import Queue

QUEUED, RUNNING = "queued", "running"


class BacklogMetrics(Collector):
    def __init__(
        self,
        queue: Queue,
        terms: Callable[[Collection[str]], Awaitable[Terms]],
        pauses: Callable[[], Awaitable[Pauses]],
        catalog: Catalog,
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._terms = terms
        self._models = [(model.medium, model.key) for model in catalog.models]
        self._pauses = pauses
        self._run_seconds = {model.key: model.run_seconds for model in catalog.models}
        self._clock = clock
        self._counted: dict[str, Counter[tuple[Medium, str]]] | None = None
        self._busy: Mapping[tuple[Medium, str], int] = {}

    async def measure(self) -> None:
        """While it cannot be counted nothing is said: whoever scales by it must not take that for no work."""
        self._counted = None
        try:
            found = await self._queue.backlog(self._clock.now())
            pauses = await self._pauses()
            terms = await self._terms({kind.project_id for kind in found.queued})
        except RetryableError:
            return
        startable = {kind: count for kind, count in found.queued.items() if pauses.over(*kind) is None}
        queued = affordable(startable, self._run_seconds, terms.room)
        running = affordable(found.running, self._run_seconds, {})
        self._counted, self._busy = {QUEUED: queued, RUNNING: running}, found.busy_workers

    def collect(self) -> Iterator[Metric]:
        if self._counted is None:
            return
        tasks = GaugeMetricFamily(
            "movie_tasks_backlog_tasks",
            "Tasks that may start, and those that workers have",
            labels=["medium", "model", "state"],
        )
        seconds = GaugeMetricFamily(
            "movie_tasks_backlog_gpu_seconds",
            "How long they usually take on one GPU, by the catalog",
            labels=["medium", "model", "state"],
        )
        busy = GaugeMetricFamily("movie_tasks_busy_workers", "Workers that have any", labels=["medium", "model"])
        for medium, model in self._models:
            for state, counted in self._counted.items():
                tasks.add_metric([medium.value, model, state], counted[medium, model])
                seconds.add_metric([medium.value, model, state], self._run_seconds[model] * counted[medium, model])
            busy.add_metric([medium.value, model], self._busy.get((medium, model), 0))
        yield from (tasks, seconds, busy)
