"""What storage's handlers need of its private tables and of the media libraries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from storage.domain import Probe


@dataclass(frozen=True)
class Ingest:
    """A result that waits to be stored."""

    task_id: str
    attempt: int
    tries: int


class Ingests(Protocol):
    """Results that wait, kept so that a restart forgets none."""

    async def add(self, task_id: str, attempt: int, due: datetime) -> None:
        """Keeps it once. A repetition changes nothing: somebody may have it in hand."""

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Ingest]:
        """What is due, put off to `until` so that nobody else takes it meanwhile."""

    async def put_off(self, ingest: Ingest, due: datetime) -> None: ...

    async def again(self, ingest: Ingest, due: datetime) -> None:
        """Puts it off after a try that failed."""

    async def remove(self, ingest: Ingest) -> None: ...

    async def next_due(self) -> datetime | None: ...


class MediaTools(Protocol):
    """The media libraries. Both methods raise `UnsupportedMedia` for what they cannot read."""

    async def probe(self, path: Path) -> Probe: ...

    async def thumbnail(self, path: Path, probe: Probe) -> bytes:
        """A small WebP: the picture, the first frame, or the shape of the sound."""
