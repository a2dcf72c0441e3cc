"""Requests and events as spans, and spans on their way to a collector."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from chassis.deliveries import Deliveries, Subscriber, Subscription
from chassis.otlp import KEPT_AT_MOST, LEFT_SENT_WITHIN_SECONDS, OtlpTracing, sampler
from chassis.publisher import as_published
from chassis.service import Service, Surroundings, build_app
from chassis.settings import ProcessSettings
from chassis.tracing import NOWHERE, tracing_to
from contracts.errors import DependencyUnavailable
from contracts.events import CloudEvent, TaskRequested, task_changed
from contracts.testing import InMemoryBus, SettableClock
from contracts.testing.examples import NOON, a_task
from contracts.topics import TASK_REQUESTS
from contracts.tracing import Span, SpanKind, TraceContext, current_trace
from fastapi import APIRouter
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.util.re import parse_env_headers
from pydantic import ValidationError

from tests.collector import Collector, collector
from tests.conftest import until
from tests.tracing import Recording

CLICK = TraceContext("a" * 32, "b" * 16, sampled=True)


class TestRequests:
    @asynccontextmanager
    async def serving(self, tracing: Recording) -> AsyncIterator[httpx.AsyncClient]:
        router, self.seen = APIRouter(), list[TraceContext | None]()

        @router.get("/api/v1/things/{thing}")
        async def show(thing: str) -> str:
            self.seen.append(current_trace())
            if thing == "bad":
                raise RuntimeError("a bug")
            return thing

        around = Surroundings(InMemoryBus(), SettableClock(), "token" * 4, tracing=tracing)
        app = build_app([Service("shop", [router])], around)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://movie-tasks") as http,
        ):
            yield http

    async def test_a_request_is_served_within_a_span_of_its_caller_s_trace(self) -> None:
        tracing = Recording()
        async with self.serving(tracing) as http:
            await http.get("/api/v1/things/a-secret?api_key=a-secret", headers={"traceparent": str(CLICK)})
        [span] = tracing.tracer.spans
        assert (span.name, span.kind, span.parent) == ("GET /api/v1/things/{thing}", SpanKind.SERVER, CLICK)
        assert self.seen == [span.context]
        assert span.attributes["http.response.status_code"] == 200
        assert "a-secret" not in repr(span)

    @pytest.mark.parametrize("given", [None, "", "no-trace", "x" * 5000, f"00-{'0' * 32}-{'b' * 16}-01"])
    async def test_without_a_caller_s_it_begins_one(self, given: str | None) -> None:
        tracing = Recording()
        async with self.serving(tracing) as http:
            for _ in range(2):
                await http.get("/api/v1/things/1", headers={"traceparent": given} if given is not None else {})
        one, other = tracing.tracer.spans
        assert one.parent is other.parent is None
        assert one.context.trace_id != other.context.trace_id

    async def test_a_caller_s_flag_decides_nothing(self) -> None:
        tracing = Recording(samples=False)
        async with self.serving(tracing) as http:
            await http.get("/api/v1/things/1", headers={"traceparent": str(CLICK)})
        assert tracing.tracer.spans == []
        assert self.seen == [replace(self.seen[0] or CLICK, sampled=False)]

    async def test_a_bug_is_told_and_probes_are_not(self) -> None:
        tracing = Recording()
        async with self.serving(tracing) as http:
            await http.get("/healthz")
            await http.get("/metrics")
            assert (await http.get("/api/v1/things/bad")).status_code == 500
        [span] = tracing.tracer.spans
        assert span.error == "500"


class TestDeliveries:
    def deliveries(self, tracing: Recording, error: Exception | None = None) -> Deliveries:
        self.seen: list[TraceContext | None] = []

        async def handle(_event: TaskRequested, _envelope: CloudEvent) -> None:
            self.seen.append(current_trace())
            if error:
                raise error

        subscriber = Subscriber("submission", Subscription(TASK_REQUESTS, {TaskRequested: handle}))
        return Deliveries(TASK_REQUESTS, [subscriber], InMemoryBus(), SettableClock(), tracing)

    def asked(self, traceparent: str | None) -> bytes:
        event = {"specversion": "1.0", "id": "e-1", "source": "/cms", "type": "task.requested.v1"}
        return json.dumps({**event, "traceparent": traceparent, "data": {"project_id": "p1"}}).encode()

    async def test_what_asks_for_something_is_handled_within_a_span(self) -> None:
        tracing = Recording()
        await self.deliveries(tracing).deliver(self.asked(str(CLICK)))
        [span] = tracing.tracer.spans
        assert (span.name, span.parent, tracing.services) == ("task-requests process", CLICK, ["submission"])
        assert self.seen == [span.context]

    @pytest.mark.parametrize("hostile", [None, "", "x" * 5000])
    async def test_a_bad_trace_refuses_nothing(self, hostile: str | None) -> None:
        tracing = Recording()
        await self.deliveries(tracing).deliver(self.asked(hostile))
        [span] = tracing.tracer.spans
        assert span.parent is None
        assert self.seen == [span.context]

    async def test_what_went_wrong_is_told_by_its_code(self) -> None:
        tracing = Recording()
        await self.deliveries(tracing, DependencyUnavailable("a-secret")).deliver(self.asked(str(CLICK)))
        [span] = tracing.tracer.spans
        assert span.error == "dependency-unavailable"
        assert "a-secret" not in repr(span)


def test_an_event_keeps_its_trace_through_daprd() -> None:
    """daprd overwrites `traceparent` of whatever has no `traceid`."""
    event = task_changed(a_task(traceparent=str(CLICK)), "test").event
    published = json.loads(as_published(event))
    assert published["traceid"] == published["traceparent"] == event.traceparent
    assert CloudEvent.model_validate(published) == event
    assert "traceid" not in json.loads(as_published(task_changed(a_task(), "test").event))


class TestOtlp:
    @asynccontextmanager
    async def told(self, *spans: Span, ratio: float = 1) -> AsyncIterator[Collector]:
        async with collector() as found:
            tracing = OtlpTracing(f"{found.endpoint}/", "x-key=let-me-in", ratio, "r-1")
            async with tracing.sending():
                for span in spans:
                    tracing.of("shop").tell(span)
            yield found

    async def test_a_span_arrives_as_it_was_told(self) -> None:
        context = CLICK.child("x")
        link = TraceContext("c" * 32, "d" * 16, sampled=True)
        until = NOON + timedelta(hours=5, microseconds=3)
        span = Span("run", context, CLICK, NOON, until, attributes={"a": 1, "b": "x" * 999}, links=[link], error="lost")
        begins = replace(span, context=TraceContext.beginning("t", sampled=True).child("t"), parent=None)
        async with self.told(span, begins) as found:
            one, other = found.spans
            assert (one.trace_id, one.span_id, one.parent_id) == (context.trace_id, context.span_id, CLICK.span_id)
            assert (one.service, one.name, one.error) == ("shop", "run", "lost")
            assert one.end - one.start == (5 * 3600 * 1_000_000 + 3) * 1000
            assert (one.attributes["a"], len(one.attributes["b"])) == (1, 128)
            assert one.links == ((link.trace_id, link.span_id),)
            assert (other.trace_id, other.parent_id) == (begins.context.trace_id, "")
            assert found.headers[0]["x-key"] == "let-me-in"

    async def test_what_is_not_sampled_is_not_sent(self) -> None:
        context = TraceContext("a" * 32, "c" * 16, sampled=False)
        async with self.told(Span("run", context, None, NOON, NOON)) as found:
            assert found.spans == []

    async def test_a_collector_that_is_away_holds_the_end_up_for_no_longer_than_it_may(self) -> None:
        tracing = OtlpTracing("http://127.0.0.1:9", "", 1, "r-1")
        async with tracing.sending():
            for number in range(KEPT_AT_MOST + 10):
                tracing.of("shop").tell(Span("run", CLICK.child(str(number)), CLICK, NOON, NOON))
            leaving = time.monotonic()
        assert time.monotonic() - leaving < LEFT_SENT_WITHIN_SECONDS + 10  # a busy machine; the SDK alone takes 30
        await until(lambda: not any(thread.name.startswith("OtelBatch") for thread in threading.enumerate()), within=20)

    @given(st.integers(min_value=1, max_value=(1 << 128) - 1), st.floats(min_value=0, max_value=1))
    def test_everybody_decides_alike_and_more_of_a_larger_part(self, trace: int, ratio: float) -> None:
        trace_id = f"{trace:032x}"
        one, other = (sampler(ratio)(trace_id) for _ in range(2))
        assert one == other
        assert sampler(1)(trace_id)
        assert not sampler(0)(trace_id)
        assert not one or sampler(min(1, ratio * 1.1))(trace_id)


class TestSettings:
    def test_nothing_is_traced_unless_a_collector_is_set(self) -> None:
        assert ProcessSettings(media_url="file:///x").tracing_endpoint is None
        assert tracing_to(None, "", 1, "r-1") is NOWHERE

    def test_who_traces_nothing_loads_nothing_of_opentelemetry(self) -> None:
        code = (
            "import chassis.process, sys;"
            "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == "[]"

    @pytest.mark.parametrize(
        "headers", ["a-secret", "a=b;a-secret", "x: a-secret", 'x="a-secret"', "x=\na-secret", "x="]
    )
    def test_what_are_no_headers_is_refused_and_not_shown(self, headers: str) -> None:
        with pytest.raises(ValidationError, match="tracing_headers") as caught:
            ProcessSettings.model_validate({"media_url": "file:///x", "tracing_headers": headers})
        assert "a-secret" not in str(caught.value)

    @pytest.mark.parametrize("headers", ["", "a=b", "Authorization=Bearer%20x, x-scope=one", "a=Bearer x=="])
    def test_headers_are_taken(self, headers: str, caplog: pytest.LogCaptureFixture) -> None:
        given = ProcessSettings.model_validate({"media_url": "file:///x", "tracing_headers": headers})
        read = parse_env_headers(given.tracing_headers.get_secret_value(), liberal=True)
        assert len(read) == len([one for one in headers.split(",") if one])
        assert caplog.text == ""

    @pytest.mark.parametrize(
        "endpoint",
        ["collector:4317", "grpc://collector", "http://user:secret@collector", "http://collector?key=secret"],
    )
    def test_what_is_no_collector_s_address_is_refused_and_not_shown(self, endpoint: str) -> None:
        with pytest.raises(ValidationError, match="tracing_endpoint") as caught:
            ProcessSettings(media_url="file:///x", tracing_endpoint=endpoint)
        assert "secret" not in str(caught.value)
