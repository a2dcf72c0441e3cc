"""What workers said last, kept in memory: each heartbeat replaces the one before."""

from collections.abc import Sequence
from datetime import timedelta

from cachetools import TTLCache
from contracts.ports import Clock
from contracts.workers import WorkerStatus

FORGOTTEN_AFTER = timedelta(seconds=30)


class HeardWorkers:
    def __init__(self, clock: Clock) -> None:
        self._heard: TTLCache[str, WorkerStatus] = TTLCache(
            10_000, FORGOTTEN_AFTER.total_seconds(), timer=lambda: clock.now().timestamp()
        )

    def heard(self, worker: WorkerStatus) -> None:
        self._heard[worker.worker_id] = worker

    def all(self) -> Sequence[WorkerStatus]:
        return sorted(self._heard.values(), key=lambda worker: worker.worker_id)
