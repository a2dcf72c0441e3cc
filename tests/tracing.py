"""Tracing into a list, for tests of what is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.testing import RecordingTracer
from contracts.tracing import Span, Tracer


class Recording:
    on = True

    def __init__(self, *, samples: bool = True) -> None:
        self.tracer = RecordingTracer(samples=samples)
        self.services: list[str] = []

    def of(self, service: str) -> Tracer:
        self.services.append(service)
        return self.tracer

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        yield

    def named(self, name: str) -> list[Span]:
        return [span for span in self.tracer.spans if span.name == name]
