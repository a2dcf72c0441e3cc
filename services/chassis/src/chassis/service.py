"""A service as a value, and the FastAPI application made of one service or of several.

The embedded way to run is nothing but several services in one application: HTTP routes side by side,
and every delivery handed to each service in the order they are listed.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

import structlog
from asgi_correlation_id import CorrelationIdMiddleware
from contracts.asyncapi import describe
from contracts.errors import DependencyUnavailable, Problem
from contracts.ports import Clock, Publisher
from contracts.topics import DEAD_LETTERS, Component, Topic
from dapr.ext.fastapi import DaprApp
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from prometheus_client.registry import Collector
from starlette.middleware.cors import CORSMiddleware

from chassis.deliveries import Deliveries, Subscriber, Subscription, by_topic
from chassis.health import Check, health_routes, sidecar_check
from chassis.metrics import BuildInfo, Measure, metrics_route
from chassis.middleware import BodyLimit, DeliveriesFirst, Receiver, RequestLog, SidecarOnly
from chassis.problems import install_problems
from chassis.sidecar import Sidecar
from chassis.starting import NotBeforeStart, Start
from chassis.tracing import NOWHERE, RequestSpans, Tracing
from chassis.traffic import Measured, Traffic

log = structlog.get_logger(__name__)

SMALL_BODY = 256 * 1024
DELIVERED_BODY = 4 * 1024 * 1024

JobHandler = Callable[[], Awaitable[None]]
Lifespan = Callable[[], AbstractAsyncContextManager[None]]


async def _nothing_to_finish() -> None:
    return


@dataclass(frozen=True)
class Service:
    """Everything a service brings into a process."""

    name: str
    routers: Sequence[APIRouter] = ()
    subscriptions: Sequence[Subscription] = ()
    jobs: Mapping[str, JobHandler] = field(default_factory=dict)
    """By the name's beginning; what follows it names a replica."""
    running: Lifespan = nullcontext
    """Entered once the sidecar answers, left on shutdown."""
    drain: Callable[[], Coroutine[Any, Any, None]] = _nothing_to_finish
    """Told to stop: finishes what is in hand, while the process still serves and hears the bus."""
    large_bodies: Mapping[str, int] = field(default_factory=dict)
    """Paths whose request bodies may be larger than usual, in bytes; what lies below them keeps to the usual limit."""
    schemas: Callable[[], Mapping[str, Any]] = dict
    """JSON Schemas that the routes' descriptions refer to; asked for when somebody reads a description."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    """What must answer before the service can do its work."""
    collectors: Sequence[Collector] = ()
    """What it says of itself at `/metrics`."""
    measures: Sequence[Measure] = ()
    """What it looks up before it says so."""


@dataclass(frozen=True)
class Surroundings:
    """What a process gives the services in it."""

    publisher: Publisher
    clock: Clock
    app_api_token: str
    sidecar: Sidecar | None = None
    cors_origins: Sequence[str] = ()
    connected: Lifespan = nullcontext
    tracing: Tracing = NOWHERE


def build_app(services: Sequence[Service], around: Surroundings) -> FastAPI:
    start = Start([("the sidecar", around.connected), *((service.name, service.running) for service in services)])

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with around.tracing.sending(), start.running():
            yield

    app = FastAPI(
        title="Movie Tasks", version=version("movie-tasks-chassis"), lifespan=lifespan, docs_url="/docs", redoc_url=None
    )
    install_problems(app, [route for service in services for router in service.routers for route in router.routes])
    # Routes are tried in order, and most requests are deliveries.
    traffic = Traffic()
    topics, receivers = _add_deliveries(app, services, around, start, traffic)
    _add_jobs(app, services)
    for service in services:
        for router in service.routers:
            _add_routes(app, router)
    checks: dict[str, Check] = {"start": start.check}
    if around.sidecar:
        checks["sidecar"] = sidecar_check(around.sidecar.subscriptions, topics)
    for service in services:
        checks |= {f"{service.name}.{name}": check for name, check in service.checks.items()}
    _add_routes(app, health_routes(checks))
    _add_routes(
        app,
        metrics_route(
            [
                BuildInfo(service.name for service in services),
                *traffic.collectors,
                *(one for service in services for one in service.collectors),
            ],
            [one for service in services for one in service.measures],
        ),
    )
    app.add_middleware(NotBeforeStart, start=start)
    app.add_middleware(Measured, traffic=traffic)
    _add_middleware(app, services, around)
    app.add_middleware(DeliveriesFirst, receivers=receivers, token=around.app_api_token, largest_body=DELIVERED_BODY)
    _describe(app, services, topics)
    return app


def _add_routes(app: FastAPI, router: APIRouter) -> None:
    """As they are; `include_router` would make each a second time, for the sake of prefixes that none has."""
    app.router.routes.extend(router.routes)


def _add_deliveries(
    app: FastAPI, services: Sequence[Service], around: Surroundings, start: Start, traffic: Traffic
) -> tuple[list[Topic], dict[str, Receiver]]:
    """The topics that are subscribed to, and who takes what is delivered at which path."""
    dapr, receivers = DaprApp(app), dict[str, Receiver]()
    subscribers = [Subscriber(service.name, wanted) for service in services for wanted in service.subscriptions]
    topics = by_topic(subscribers)
    for topic, wanting in topics.items():
        deliveries = Deliveries(topic, wanting, around.publisher, around.clock, around.tracing)
        traffic.expect(topic.name)
        path = f"/events/{topic.component.value}/{topic.name}"
        receivers[path] = _receiver(deliveries, start, traffic)
        # daprd dead-letters on the component it delivers from, and only `events` keeps what it is given.
        keeps = topic.component is Component.EVENTS and topic is not DEAD_LETTERS
        dapr.subscribe(
            topic.component.value,
            topic.name,
            route=path,
            dead_letter_topic=DEAD_LETTERS.name if keeps else None,
        )(_route(receivers[path]))
    return list(topics), receivers


def _receiver(deliveries: Deliveries, start: Start, traffic: Traffic) -> Receiver:
    async def receive(body: bytes) -> str:
        try:
            await start.check()
        except DependencyUnavailable:
            return deliveries.again.value
        started = time.perf_counter()
        answer = await deliveries.deliver(body)
        traffic.delivered(deliveries.topic.name, answer.value, time.perf_counter() - started)
        return answer.value

    return receive


def _route(receive: Receiver) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def route(request: Request) -> JSONResponse:
        return JSONResponse({"status": await receive(await request.body())})

    return route


def _add_jobs(app: FastAPI, services: Sequence[Service]) -> None:
    handlers = {prefix: handler for service in services for prefix, handler in service.jobs.items()}

    async def run_job(name: str) -> Response:
        for prefix, handler in handlers.items():
            if name.startswith(prefix):
                await handler()
                return Response(status_code=204)
        # daprd takes 404 for an answer and forgets the job; anything else makes it try again.
        log.error("the scheduler rang for a job nobody knows", job=name)
        return Response(status_code=500)

    app.add_api_route("/job/{name}", run_job, methods=["POST"])


def _add_middleware(app: FastAPI, services: Sequence[Service], around: Surroundings) -> None:
    """Last added runs first."""
    larger = {path: limit for service in services for path, limit in service.large_bodies.items()}

    def limit(path: str) -> int:
        if path.startswith(SidecarOnly.PATHS):
            return DELIVERED_BODY
        return larger.get(path, SMALL_BODY)

    app.add_middleware(BodyLimit, limit=limit)
    app.add_middleware(SidecarOnly, token=around.app_api_token)
    app.add_middleware(RequestLog)
    if around.tracing.on:
        app.add_middleware(
            RequestSpans,
            by_route={
                str(getattr(route, "path", "")): tracer
                for service in services
                for tracer in [around.tracing.of(service.name)]
                for router in service.routers
                for route in router.routes
            },
            otherwise=around.tracing.of("movie-tasks"),
            clock=around.clock,
        )
    app.add_middleware(CorrelationIdMiddleware, header_name="X-Correlation-ID", validator=_plain_id)
    if around.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(around.cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Content-Type", "Idempotency-Key", "Last-Event-ID", "X-API-Key", "X-Correlation-ID"],
            expose_headers=["Link", "Location", "Retry-After", "X-Correlation-ID"],
        )


def _plain_id(presented: str) -> bool:
    """Whether a caller's correlation id may go into logs and records."""
    return 0 < len(presented) <= 128 and presented.isascii() and presented.isprintable()


def _describe(app: FastAPI, services: Sequence[Service], topics: Sequence[Topic]) -> None:
    """OpenAPI, with the schemas that routes name by reference, and AsyncAPI beside it; made when first read."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            public = [
                route for route in app.routes if not str(getattr(route, "path", "")).startswith(SidecarOnly.PATHS)
            ]
            described = get_openapi(title=app.title, version=app.version, routes=public)
            described.setdefault("components", {}).setdefault("schemas", {}).update(_named_schemas(services))
            app.openapi_schema = described
        return app.openapi_schema

    @cache
    def asyncapi_description() -> dict[str, Any]:
        return describe(app.version, topics)

    async def asyncapi() -> JSONResponse:
        return JSONResponse(asyncapi_description())

    app.add_api_route("/asyncapi.json", asyncapi, include_in_schema=False)
    app.openapi = openapi  # type: ignore[method-assign]


def _named_schemas(services: Sequence[Service]) -> dict[str, object]:
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    named: dict[str, object] = {**problem.pop("$defs"), "Problem": problem}
    for service in services:
        named |= service.schemas()
    return named
