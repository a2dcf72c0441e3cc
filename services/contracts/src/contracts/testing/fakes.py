"""In-memory stand-ins for every port. They pass the same conformance suite as the real adapters."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.errors import AlreadyExists, NotFound, RetryableError, StateConflict
from contracts.events import Message
from contracts.ports import StoredObject, Versioned
from contracts.tracing import Span


class SettableClock:
    """Stands still until told to move."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, **by: float) -> datetime:
        self._now += timedelta(**by)
        return self._now


class InMemoryState:
    def __init__(self) -> None:
        self._documents: dict[str, Versioned] = {}
        self.writes = 0

    async def get(self, key: str) -> Versioned | None:
        return self._documents.get(key)

    async def create(self, key: str, value: bytes) -> None:
        if key in self._documents:
            raise AlreadyExists(f"{key} exists")
        self._write(key, value)

    async def replace(self, key: str, value: bytes, etag: str) -> None:
        self._check(key, etag)
        self._write(key, value)

    async def delete(self, key: str, etag: str) -> None:
        self._check(key, etag)
        del self._documents[key]

    def _check(self, key: str, etag: str) -> None:
        found = self._documents.get(key)
        if found is None or found.etag != etag:
            raise StateConflict(f"{key} has changed")

    def _write(self, key: str, value: bytes) -> None:
        self.writes += 1
        self._documents[key] = Versioned(value, str(self.writes))


class InMemoryBus:
    """Keeps what was published, and hands it to whoever subscribed to its topic."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._subscribers: dict[str, list[Callable[[Message], Awaitable[None]]]] = {}

    async def publish(self, message: Message) -> None:
        self.messages.append(message)
        for subscriber in self._subscribers.get(message.topic.name, []):
            await _deliver(subscriber, message)

    async def check(self) -> None:
        """It can always be reached."""

    def subscribe(self, topic: str, subscriber: Callable[[Message], Awaitable[None]]) -> None:
        self._subscribers.setdefault(topic, []).append(subscriber)

    @property
    def types(self) -> list[str]:
        return [message.event.type for message in self.messages]


async def _deliver(subscriber: Callable[[Message], Awaitable[None]], message: Message) -> None:
    """Again for as long as the subscriber wants it again."""
    while True:
        try:
            await subscriber(message)
        except RetryableError:
            await asyncio.sleep(0)
        else:
            return


class InMemoryJobs:
    """Alarms that ring when the test says what time it is."""

    def __init__(self) -> None:
        self.due: dict[str, datetime] = {}
        self._rung: Callable[[str], Awaitable[None]] | None = None

    async def schedule(self, name: str, due: datetime) -> None:
        self.due[name] = due

    async def cancel(self, name: str) -> None:
        self.due.pop(name, None)

    def on_ring(self, rung: Callable[[str], Awaitable[None]]) -> None:
        self._rung = rung

    async def ring_due(self, now: datetime) -> None:
        for name in [name for name, due in self.due.items() if due <= now]:
            del self.due[name]
            if self._rung:
                await self._rung(name)


class InMemoryObjects:
    def __init__(self, clock: SettableClock | None = None) -> None:
        self._clock = clock or SettableClock()
        self._objects: dict[str, tuple[bytes, datetime]] = {}

    async def put(self, key: str, content: bytes | Path) -> None:
        data = await asyncio.to_thread(content.read_bytes) if isinstance(content, Path) else content
        self._objects[key] = (data, self._clock.now())

    async def head(self, key: str) -> StoredObject | None:
        found = self._objects.get(key)
        return StoredObject(key, len(found[0]), found[1]) if found else None

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        yield self._found(key)[start:end]

    async def copy(self, source: str, target: str) -> None:
        self._objects[target] = (self._found(source), self._clock.now())

    async def delete(self, key: str) -> None:
        self._objects.pop(key, None)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        for key, (data, modified) in sorted(self._objects.items()):
            if key.startswith(prefix.rstrip("/") + "/"):
                yield StoredObject(key, len(data), modified)

    def _found(self, key: str) -> bytes:
        if key not in self._objects:
            raise NotFound(f"no object {key}")
        return self._objects[key][0]


class RecordingTracer:
    """Keeps what it is told. Samples everything, unless it is to sample nothing."""

    def __init__(self, *, samples: bool = True) -> None:
        self.spans: list[Span] = []
        self._samples = samples

    def samples(self, _trace_id: str) -> bool:
        return self._samples

    def tell(self, span: Span) -> None:
        if span.context.sampled:
            self.spans.append(span)
