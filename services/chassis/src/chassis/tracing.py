"""Where spans go: nowhere, unless a collector is set. Then a request and an event that asks for something are spans."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from contracts.ports import Clock
from contracts.tracing import OFF, Span, SpanKind, Tracer, asked_in, within
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOT_SERVED = 500
"""What a request comes to that nobody has answered."""


class Tracing(Protocol):
    on: bool

    def of(self, service: str) -> Tracer:
        """What tells the spans of one service in the process."""

    def sending(self) -> AbstractAsyncContextManager[None]:
        """Lasts as long as the process serves. In the end what is left is sent, if that is soon done."""


class NoTracing:
    on = False

    def of(self, _service: str) -> Tracer:
        return OFF

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        yield


NOWHERE = NoTracing()


def tracing_to(endpoint: str | None, headers: str, sample_ratio: float, replica: str) -> Tracing:
    """To the collector, if there is one."""
    if endpoint is None:
        return NOWHERE
    # OpenTelemetry takes memory and half a second, which who traces nothing does not owe.
    from chassis.otlp import OtlpTracing  # noqa: PLC0415

    return OtlpTracing(endpoint, headers, sample_ratio, replica)


class RequestSpans:
    """Each request of the API is served within a span. It is named by its route: a path may hold anything."""

    def __init__(self, app: ASGIApp, by_route: Mapping[str, Tracer], otherwise: Tracer, clock: Clock) -> None:
        self._app = app
        self._by_route = by_route
        self._otherwise = otherwise
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        asked = asked_in(given, secrets.token_hex(16), self._otherwise)
        context = asked.child("request", secrets.token_hex(8))
        start, status = self._clock.now(), NOT_SERVED

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with within(context):
                await self._app(scope, receive, watched)
        finally:
            route = str(getattr(scope.get("route"), "path", ""))
            span = Span(
                f"{scope['method']} {route}".strip(),
                context,
                asked if asked.is_span else None,
                start,
                self._clock.now(),
                SpanKind.SERVER,
                {"http.request.method": scope["method"], "http.route": route, "http.response.status_code": status},
                error=str(status) if status >= NOT_SERVED else None,
            )
            self._by_route.get(route, self._otherwise).tell(span)
