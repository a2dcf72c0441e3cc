"""Webhooks in Prometheus' words. What one replica settles no other counts."""

from collections.abc import Sequence
from datetime import timedelta

from contracts.webhooks import DeliveryState
from prometheus_client import Counter, Histogram
from prometheus_client.registry import Collector

from notification.domain.deliveries import Answer

FIRST_TRIES = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
ACCEPTED, REFUSED, SILENT = "accepted", "refused", "silent"


class WebhookMetrics:
    def __init__(self) -> None:
        self._tries = Counter(
            "movie_tasks_webhook_tries",
            "Tries of webhooks, by what was answered",
            ["answer"],
            registry=None,
        )
        self._ended = Counter(
            "movie_tasks_webhook_deliveries_ended",
            "Webhooks delivered, or given up",
            ["state"],
            registry=None,
        )
        self._first_try = Histogram(
            "movie_tasks_webhook_first_try_seconds",
            "How long after it was to be told a webhook was first tried, at receivers that were well",
            buckets=FIRST_TRIES,
            registry=None,
        )
        for answer in (ACCEPTED, REFUSED, SILENT):
            self._tries.labels(answer)
        for state in (DeliveryState.DELIVERED, DeliveryState.FAILED):
            self._ended.labels(state.value)

    @property
    def collectors(self) -> Sequence[Collector]:
        return self._tries, self._ended, self._first_try

    def tried(self, answer: Answer, state: DeliveryState) -> None:
        self._tries.labels(ACCEPTED if answer.accepted else REFUSED if answer.status else SILENT).inc()
        if state is not DeliveryState.WAITING:
            self._ended.labels(state.value).inc()

    def first_tried(self, after: timedelta) -> None:
        self._first_try.observe(max(0.0, after.total_seconds()))
