"""What the platform needs from outside, as services see it. Fakes of all of them: `contracts.testing`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from contracts.events import Message


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, always with UTC as its zone."""


@dataclass(frozen=True)
class Versioned:
    """A stored document and the version it was read at."""

    value: bytes
    etag: str


class StateStore(Protocol):
    """Documents by key, each save checked against the version that was read.

    Every method raises `DependencyUnavailable` when the store does not answer; a write may then
    have happened or not.
    """

    async def get(self, key: str) -> Versioned | None: ...

    async def create(self, key: str, value: bytes) -> None:
        """Raises `AlreadyExists`."""

    async def replace(self, key: str, value: bytes, etag: str) -> None:
        """Raises `StateConflict` when the document has another version by now, or is gone."""

    async def delete(self, key: str, etag: str) -> None:
        """Raises `StateConflict` likewise."""


class Publisher(Protocol):
    async def publish(self, message: Message) -> None:
        """Returns when the broker has it. Raises `DependencyUnavailable`."""


class Jobs(Protocol):
    """One-shot alarms that come back to this app at least once, at or after their time."""

    async def schedule(self, name: str, due: datetime) -> None:
        """Replaces an alarm of the same name. Raises `DependencyUnavailable`."""

    async def cancel(self, name: str) -> None: ...


@dataclass(frozen=True)
class StoredObject:
    key: str
    size: int
    modified: datetime


class ObjectStore(Protocol):
    """Files by key. Every method raises `DependencyUnavailable` when the store does not answer."""

    async def put(self, key: str, content: bytes | Path) -> None:
        """Stores the bytes, or streams the file, under the key; replaces what was there."""

    async def head(self, key: str) -> StoredObject | None: ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Streams the bytes from `start` up to, not including, `end`. Raises `NotFound`."""

    async def copy(self, source: str, target: str) -> None:
        """Raises `NotFound`."""

    async def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""

    def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Everything under `prefix/`."""
