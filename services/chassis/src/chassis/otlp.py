"""Spans on their way to an OpenTelemetry collector, by OTLP over HTTP.

The SDK queues, batches, encodes and repeats. Spans come to it when they are over, with their ids and times.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from contracts.tracing import Span, SpanKind, TraceContext, Tracer
from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, TraceIdRatioBased
from opentelemetry.util.re import parse_env_headers

KEPT_AT_MOST = 4096
"""Spans that wait for a collector that is away. What comes then pushes the oldest out."""
SENT_EVERY_SECONDS = 2
ONE_TRY_SECONDS = 5
LEFT_SENT_WITHIN_SECONDS = 2
SAID_EVERY_SECONDS = 60
LONGEST_ATTRIBUTE = 128
KINDS = {
    SpanKind.INTERNAL: otel.SpanKind.INTERNAL,
    SpanKind.SERVER: otel.SpanKind.SERVER,
    SpanKind.CLIENT: otel.SpanKind.CLIENT,
    SpanKind.CONSUMER: otel.SpanKind.CONSUMER,
}
TALKATIVE = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")
EPOCH = datetime.fromtimestamp(0, UTC)


class OtlpTracing:
    """`endpoint` is a collector's address, to which `/v1/traces` is added; `headers` are `name=value`, comma
    separated, as in OTEL_EXPORTER_OTLP_HEADERS."""

    on = True

    def __init__(self, endpoint: str, headers: str, sample_ratio: float, replica: str) -> None:
        for name in TALKATIVE:
            logging.getLogger(name).addFilter(_NowAndThen())
        self._exporter = OTLPSpanExporter(
            endpoint=f"{endpoint.rstrip('/')}/v1/traces",
            headers=parse_env_headers(headers, liberal=True),
            timeout=ONE_TRY_SECONDS,
            compression=Compression.Gzip,
        )
        self._processor = BatchSpanProcessor(
            self._exporter, max_queue_size=KEPT_AT_MOST, schedule_delay_millis=SENT_EVERY_SECONDS * 1000
        )
        self._samples = sampler(sample_ratio)
        self._replica = replica
        self._tracers: dict[str, Tracer] = {}

    def of(self, service: str) -> Tracer:
        if service not in self._tracers:
            self._tracers[service] = self._tracer(service)
        return self._tracers[service]

    def _tracer(self, service: str) -> Tracer:
        names = {"service.namespace": "movie-tasks", "service.name": service, "service.instance.id": self._replica}
        ids = _Given()
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(names),
            shutdown_on_exit=False,
            id_generator=ids,
            span_limits=SpanLimits(max_attribute_length=LONGEST_ATTRIBUTE),
        )
        provider.add_span_processor(self._processor)
        return _ServiceTracer(provider.get_tracer("movie-tasks"), ids, self._samples)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._send_what_is_left()

    async def _send_what_is_left(self) -> None:
        """In a thread that the process does not wait for: a collector that is away would hold it up."""
        sent, loop = asyncio.Event(), asyncio.get_running_loop()

        def send() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            with suppress(RuntimeError):  # the loop is closed, so nobody waits any more
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=send, daemon=True).start()
        try:
            async with asyncio.timeout(LEFT_SENT_WITHIN_SECONDS):
                await sent.wait()
        except TimeoutError:
            # Ends the try that is under way, and the SDK's thread with it.
            self._exporter.shutdown()  # type: ignore[no-untyped-call]


def sampler(ratio: float) -> Callable[[str], bool]:
    """Which traces are told: those that OpenTelemetry's TraceIdRatioBased picks, which others may have of the same."""
    below = TraceIdRatioBased.get_bound_for_rate(ratio)
    return lambda trace_id: int(trace_id[16:], 16) < below


class _Given(IdGenerator):
    """The ids of the span that is being told."""

    def __init__(self) -> None:
        self.of = TraceContext("0", "0", sampled=False)

    def generate_trace_id(self) -> int:
        return int(self.of.trace_id, 16)

    def generate_span_id(self) -> int:
        return int(self.of.span_id, 16)


class _ServiceTracer:
    def __init__(self, tracer: otel.Tracer, ids: _Given, samples: Callable[[str], bool]) -> None:
        self._tracer = tracer
        self._ids = ids
        self._samples = samples

    def samples(self, trace_id: str) -> bool:
        return self._samples(trace_id)

    def tell(self, span: Span) -> None:
        if not span.context.sampled:
            return
        # The ids are taken before anything else of the event loop can run.
        self._ids.of = span.context
        told = self._tracer.start_span(
            span.name,
            context=_under(span.parent),
            kind=KINDS[span.kind],
            attributes=span.attributes,
            links=[otel.Link(_span_context(link)) for link in span.links],
            start_time=_nanoseconds(span.start),
        )
        if span.error is not None:
            told.set_status(otel.Status(otel.StatusCode.ERROR, span.error))
        told.end(_nanoseconds(max(span.start, span.end)))


def _under(parent: TraceContext | None) -> Context:
    nothing = Context()
    return otel.set_span_in_context(otel.NonRecordingSpan(_span_context(parent)), nothing) if parent else nothing


def _span_context(of: TraceContext) -> otel.SpanContext:
    flags = otel.TraceFlags(otel.TraceFlags.SAMPLED if of.sampled else otel.TraceFlags.DEFAULT)
    return otel.SpanContext(int(of.trace_id, 16), int(of.span_id, 16), is_remote=True, trace_flags=flags)


def _nanoseconds(moment: datetime) -> int:
    since = moment - EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


class _NowAndThen(logging.Filter):
    """A collector that is away is worth a line a minute, and not one for every try."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at = -float(SAID_EVERY_SECONDS)

    def filter(self, _record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._said_at < SAID_EVERY_SECONDS:
            return False
        self._said_at = now
        return True
