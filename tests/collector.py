"""A collector of traces as OpenTelemetry's is: takes OTLP over HTTP, and keeps what it was told."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from chassis.server import GuestServer
from embedded.processes import free_ports
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@dataclass(frozen=True)
class Told:
    """A span as it arrived."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    error: str
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    """Trace and span of each."""


@dataclass
class Collector:
    endpoint: str
    spans: list[Told] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: Request) -> Response:
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.headers.append(dict(request.headers))
        self.spans += _told(ExportTraceServiceRequest.FromString(body))
        self._arrived.set()
        return Response(media_type="application/x-protobuf")

    def of(self, trace_id: str) -> list[Told]:
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda one: (one.start, -one.end))

    async def wait_for(self, enough: Callable[[], bool], within: float = 60) -> None:
        async with asyncio.timeout(within):
            while not enough():
                self._arrived.clear()
                await self._arrived.wait()


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    [port] = free_ports(1)
    found = Collector(f"http://127.0.0.1:{port}")
    app = Starlette(routes=[Route("/v1/traces", found.take, methods=["POST"])])
    server = GuestServer(uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    try:
        yield found
    finally:
        server.should_exit = True
        await serving


def tree(spans: Sequence[Told]) -> list[str]:
    """Each span's service and name behind those of its parents', in the order of their beginnings."""
    by_id = {span.span_id: span for span in spans}

    def path(span: Told) -> str:
        over = by_id.get(span.parent_id)
        return f"{path(over)} > {span.name}" if over else span.name

    return [f"{path(span)} ({span.service})" for span in spans]


def picture(spans: Sequence[Told], width: int = 48) -> str:
    """The trace as bars over time, for people."""
    by_id = {span.span_id: span for span in spans}
    begin, end = min(span.start for span in spans), max(span.end for span in spans)

    def depth(span: Told) -> int:
        over = by_id.get(span.parent_id)
        return 1 + depth(over) if over else 0

    lines = []
    for span in spans:
        at = round((span.start - begin) / (end - begin) * width)
        bar = max(1, round((span.end - span.start) / (end - begin) * width))
        name = f"{'  ' * depth(span)}{span.name}"
        milliseconds = (span.end - span.start) / 1e6
        lines.append(f"{name:<24}{span.service:<18}{milliseconds:>6.0f} ms  {' ' * at}{'█' * bar}".rstrip())
    return "\n".join(lines)


def _told(request: ExportTraceServiceRequest) -> list[Told]:
    return [
        Told(
            service=_attributes(resource.resource.attributes)["service.name"],
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            error=span.status.message,
            attributes=_attributes(span.attributes),
            links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _attributes(given: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in given}
