"""`/metrics`: what the services of a process say of themselves, for Prometheus."""

from collections.abc import Sequence

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector


def metrics_route(collectors: Sequence[Collector]) -> APIRouter:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)
    router = APIRouter(tags=["health"])

    @router.get("/metrics", summary="Measurements, as Prometheus reads them", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
