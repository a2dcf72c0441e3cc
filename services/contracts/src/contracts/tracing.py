"""W3C Trace Context, and spans as values: what happened, from when to when, and within what.

Spans are told when they are over, with ids that follow from what they are about. So nobody has to keep one open for as
long as a task takes, whoever moves a task on can tell what has ended, and telling it twice is telling it once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, Self, TypeVar

from contracts.identifiers import trace_parent

Value = TypeVar("Value")


@dataclass(frozen=True)
class TraceContext:
    """A span, as others refer to it."""

    trace_id: str
    span_id: str
    sampled: bool
    """Whether what happens in the trace is told."""

    @classmethod
    def read(cls, traceparent: object) -> Self | None:
        """None for anything that is no valid `traceparent`."""
        if (valid := trace_parent(traceparent)) is None:
            return None
        _version, trace_id, span_id, flags = valid.split("-")
        return cls(trace_id, span_id, sampled=bool(int(flags, 16) & 1))

    @classmethod
    def beginning(cls, *about: str, sampled: bool) -> Self:
        """What a trace begins with that nobody else has begun: a parent that is no span."""
        trace_id = _digest(about)[:32]
        return cls(trace_id, trace_id[:16], sampled)

    @property
    def is_span(self) -> bool:
        return self.span_id != self.trace_id[:16]

    def child(self, *about: str) -> "TraceContext":
        """The one span of this trace that is about this."""
        return TraceContext(self.trace_id, _digest((self.span_id, *about))[:16], self.sampled)

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def _digest(about: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(about).encode()).hexdigest()


Attributes = Mapping[str, str | int | float | bool]


class SpanKind(StrEnum):
    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


@dataclass(frozen=True)
class Span:
    """Something that is over. It holds ids, numbers and words of the platform's own, and nothing that people wrote."""

    name: str
    context: TraceContext
    parent: TraceContext | None
    start: datetime
    end: datetime
    kind: SpanKind = SpanKind.INTERNAL
    attributes: Attributes = field(default_factory=dict)
    links: Sequence[TraceContext] = ()
    """What else this was done for, where one thing serves several."""
    error: str | None = None
    """The code of what went wrong."""


class Tracer(Protocol):
    """Tells spans to whoever collects them."""

    def samples(self, trace_id: str) -> bool:
        """Whether what happens in a trace is told. Decided by its id alone, so everybody comes to the same."""

    def tell(self, span: Span) -> None:
        """Never waits and never fails; what is not sampled is passed over."""


class Untraced:
    """Tracing that is off."""

    def samples(self, _trace_id: str) -> bool:
        return False

    def tell(self, _span: Span) -> None:
        return


OFF = Untraced()


def asked_in(given: TraceContext | str | None, otherwise: str, tracer: Tracer) -> TraceContext:
    """The span in which somebody asks for something, or the beginning of a trace that is named by `otherwise`.

    Whether it is told is for us to decide: a stranger's flag would have strangers decide what it costs.
    """
    asked = (given if isinstance(given, TraceContext) else TraceContext.read(given)) or TraceContext.beginning(
        otherwise, sampled=False
    )
    return replace(asked, sampled=tracer.samples(asked.trace_id))


_CURRENT: ContextVar[TraceContext | None] = ContextVar("trace", default=None)


def current_trace() -> TraceContext | None:
    """The span that the caller is within, if tracing is on."""
    return _CURRENT.get()


class Bound(Generic[Value]):
    """A context variable has the value for as long as this lasts."""

    def __init__(self, variable: ContextVar[Value], value: Value) -> None:
        self._variable = variable
        self._value = value

    def __enter__(self) -> None:
        self._token = self._variable.set(self._value)

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        # A coroutine that is given up is closed by whoever tidies up, in another context.
        if kind is not GeneratorExit:
            self._variable.reset(self._token)


def within(context: TraceContext) -> Bound[TraceContext | None]:
    return Bound(_CURRENT, context)
