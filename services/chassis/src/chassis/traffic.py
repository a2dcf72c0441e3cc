"""Requests and deliveries in Prometheus' words."""

import time
from collections.abc import Sequence

from prometheus_client import Counter, Histogram
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.deliveries import Answer
from chassis.metrics import BoundedLabel

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
REQUESTS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
DELIVERIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10)
NO_ROUTE = "none"
"""Of what was answered before a route was found, whatever the path: paths are the caller's to invent."""


class Traffic:
    def __init__(self) -> None:
        self._method = BoundedLabel(len(METHODS), METHODS)
        self._requests = Histogram(
            "movie_tasks_http_request_duration_seconds",
            "How long until an answer to a request of the API began",
            ["method", "route", "status"],
            buckets=REQUESTS,
            registry=None,
        )
        self._deliveries = Histogram(
            "movie_tasks_delivery_duration_seconds",
            "How long handling took of what the bus delivered",
            ["topic"],
            buckets=DELIVERIES,
            registry=None,
        )
        self._answers = Counter(
            "movie_tasks_deliveries", "Deliveries of the bus by their answer", ["topic", "answer"], registry=None
        )

    @property
    def collectors(self) -> Sequence[Collector]:
        return self._requests, self._deliveries, self._answers

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(self._method(method), route, status).observe(seconds)

    def expect(self, topic: str) -> None:
        """What has not happened yet is told as well: a rate needs a value before the first."""
        for answer in Answer:
            self._answers.labels(topic, answer.value)

    def delivered(self, topic: str, answer: str, seconds: float) -> None:
        self._deliveries.labels(topic).observe(seconds)
        self._answers.labels(topic, answer).inc()


class Measured:
    """Measures each request of the API until its answer begins: what is streamed may go on for hours."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        started, begun = time.perf_counter(), False

        def note(status: int) -> None:
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            self._traffic.answered(scope["method"], route, status, time.perf_counter() - started)

        async def watched(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start" and not begun:
                begun = True
                note(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            # What nobody has caught is answered with 500 further out.
            if not begun:
                note(500)
            raise
