"""The worker in Prometheus' words, derived at every scrape from what its heartbeats say."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from contracts.workers import MB, WorkerState, WorkerStatus
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass
class Fenced:
    """Device time that nobody is charged for: another attempt had the task by then, or a person had ended it."""

    seconds: float = 0.0

    def add(self, used: timedelta) -> None:
        self.seconds += max(0.0, used.total_seconds())


class WorkerMetrics(Collector):
    def __init__(self, status: Callable[[], WorkerStatus], fenced: Fenced) -> None:
        self._status = status
        self._fenced = fenced

    def collect(self) -> Iterator[Metric]:
        now = self._status()
        about = InfoMetricFamily("movie_tasks_worker", "What it renders, and on what", labels=["worker"])
        about.add_metric([now.worker_id], {"medium": now.medium.value, "device": now.device.name})
        yield about
        state = GaugeMetricFamily("movie_tasks_worker_state", "1 for the state it is in", labels=["worker", "state"])
        for one in WorkerState:
            state.add_metric([now.worker_id, one.value], float(now.state is one))
        yield state
        yield _gauge("movie_tasks_worker_slots", "Task attempts that its device may have at once", now, now.slots)
        yield _gauge("movie_tasks_worker_runs", "Task attempts in its hands", now, len(now.runs))
        ended = CounterMetricFamily(
            "movie_tasks_worker_attempts", "Attempts that came to an end", labels=["worker", "end"]
        )
        ended.add_metric([now.worker_id, "completed"], now.completed)
        ended.add_metric([now.worker_id, "failed"], now.failed)
        yield ended
        fenced = CounterMetricFamily(
            "movie_tasks_worker_fenced_gpu_seconds",
            "Device time of attempts that were over before their worker knew",
            labels=["worker"],
        )
        fenced.add_metric([now.worker_id], self._fenced.seconds)
        yield fenced
        yield _gauge("movie_tasks_worker_warm_models", "Models whose weights are loaded", now, len(now.warm_models))
        if now.gpu is not None:
            yield from _gpu(now)


def _gpu(now: WorkerStatus) -> Iterator[Metric]:
    gpu = now.gpu
    if gpu is None:
        return
    yield _gauge("movie_tasks_gpu_utilisation_ratio", "How much of the time a kernel runs", now, gpu.utilisation)
    yield _gauge("movie_tasks_gpu_memory_used_bytes", "Memory in use", now, gpu.memory_used_mb * MB)
    yield _gauge("movie_tasks_gpu_memory_bytes", "Memory there is", now, gpu.memory_total_mb * MB)
    yield _gauge("movie_tasks_gpu_temperature_celsius", "Temperature", now, gpu.temperature_celsius)
    if gpu.power_watts is not None:
        yield _gauge("movie_tasks_gpu_power_watts", "Power drawn", now, gpu.power_watts)
    yield _gauge("movie_tasks_gpu_xid", "The last fault of the hardware, 0 for none", now, gpu.xid or 0)


def _gauge(name: str, meaning: str, now: WorkerStatus, value: float) -> Metric:
    gauge = GaugeMetricFamily(name, meaning, labels=["worker"])
    gauge.add_metric([now.worker_id], value)
    return gauge
