"""`/metrics`: what the services of a process say of themselves, for Prometheus."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from importlib.metadata import version

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

Measure = Callable[[], Awaitable[None]]
"""Looks something up before it is asked for; collectors cannot wait."""

OTHER = "other"

# Prometheus sees by the values themselves when a process began anew; telling it would double the series.
disable_created_metrics()  # type: ignore[no-untyped-call]


class BoundedLabel:
    """The values of a label of which there shall be no more than `most` while the process lives: what comes after
    them is `other`."""

    def __init__(self, most: int, beginning: Iterable[str] = ()) -> None:
        self._most = most
        self._known = set(beginning)

    def __call__(self, value: str) -> str:
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value


class BuildInfo(Collector):
    """Which services of which version a process is made of."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = tuple(services)

    def collect(self) -> Iterator[Metric]:
        build = InfoMetricFamily("movie_tasks_build", "What runs here", labels=["service"])
        for service in self._services:
            build.add_metric([service], {"version": version("movie-tasks-chassis")})
        yield build


def metrics_route(collectors: Sequence[Collector], measures: Sequence[Measure] = ()) -> APIRouter:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)
    router = APIRouter(tags=["health"])

    @router.get("/metrics", summary="Measurements, as Prometheus reads them", response_class=Response)
    async def metrics() -> Response:
        await asyncio.gather(*(measure() for measure in measures))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
