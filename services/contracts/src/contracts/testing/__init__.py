"""Fakes of the ports, for unit tests, and the conformance suites that keep them honest."""

from contracts.testing.fakes import (
    InMemoryBus,
    InMemoryJobs,
    InMemoryObjects,
    InMemoryState,
    RecordingTracer,
    SettableClock,
)

__all__ = ["InMemoryBus", "InMemoryJobs", "InMemoryObjects", "InMemoryState", "RecordingTracer", "SettableClock"]
