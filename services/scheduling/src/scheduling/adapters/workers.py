"""The workers heard of lately. A heartbeat replaces the one before; silence forgets."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cachetools import TTLCache
from contracts.media import Medium
from contracts.ports import Clock
from contracts.workers import TAKES_WORK, WorkerStatus

from scheduling.ports import HeardWorker


class HeardWorkers:
    def __init__(self, clock: Clock, silence: timedelta) -> None:
        self._heard: TTLCache[str, HeardWorker] = TTLCache(
            10_000, silence.total_seconds(), timer=lambda: clock.now().timestamp()
        )

    def heard(self, worker: WorkerStatus, at: datetime) -> None:
        known = self._heard.get(worker.worker_id)
        if known is None or known.status.sent_at <= worker.sent_at:
            self._heard[worker.worker_id] = HeardWorker(worker, at)

    def available(self, medium: Medium) -> Sequence[HeardWorker]:
        return [
            heard
            for heard in self._heard.values()
            if heard.status.medium is medium and heard.status.state in TAKES_WORK
        ]
