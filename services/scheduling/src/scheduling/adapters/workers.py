"""The workers heard of lately. A heartbeat replaces the one before; silence forgets."""

from collections.abc import Sequence
from datetime import timedelta

from cachetools import TTLCache
from contracts.media import Medium
from contracts.ports import Clock
from contracts.workers import TAKES_WORK, WorkerStatus


class HeardWorkers:
    def __init__(self, clock: Clock, silence: timedelta) -> None:
        self._heard: TTLCache[str, WorkerStatus] = TTLCache(
            10_000, silence.total_seconds(), timer=lambda: clock.now().timestamp()
        )

    def heard(self, worker: WorkerStatus) -> None:
        known = self._heard.get(worker.worker_id)
        if known is None or known.sent_at <= worker.sent_at:
            self._heard[worker.worker_id] = worker

    def available(self, medium: Medium) -> Sequence[WorkerStatus]:
        return [w for w in self._heard.values() if w.medium is medium and w.state in TAKES_WORK]
