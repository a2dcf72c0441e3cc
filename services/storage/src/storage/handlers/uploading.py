"""Files that people bring as inputs of their tasks."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from contracts.errors import PayloadTooLarge, UnsupportedMedia
from contracts.media import MediaResult
from contracts.ports import Clock, ObjectStore
from contracts.records import Records

from storage.domain import Checked, Probe, canonical, media_result
from storage.ports import MediaTools

LOOKED_INTO_AT_ONCE = 1
"""Fewer than the media tools have places for, so that results find one however long a look at an upload takes."""


@dataclass(frozen=True)
class Uploading:
    media: Records[MediaResult]
    objects: ObjectStore
    tools: MediaTools
    clock: Clock
    new_media_id: Callable[[], str]
    largest: int
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOOKED_INTO_AT_ONCE))

    async def take(self, project_id: str, claimed_type: str, content: AsyncIterator[bytes], path: Path) -> MediaResult:
        """Stores an upload after looking into it; `path` is a place on the local disk to do so.

        Raises `PayloadTooLarge` and `UnsupportedMedia`.
        """
        size, sha256 = await self._receive(content, path)
        async with self._places:
            probe, thumbnail = await self._look_into(path, claimed_type)
        result = media_result(self.new_media_id(), project_id, None, Checked(probe, size, sha256), self.clock.now())
        await self.objects.put(result.key, path)
        if result.thumbnail_key:
            await self.objects.put(result.thumbnail_key, thumbnail)
        # The record comes last: until it is there, nobody can find the files.
        await self.media.create(result.id, result)
        return result

    async def _receive(self, content: AsyncIterator[bytes], path: Path) -> tuple[int, str]:
        """How large it is, and its digest."""
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            async for chunk in content:
                size += len(chunk)
                if size > self.largest:
                    raise PayloadTooLarge(f"an upload may hold {self.largest} bytes")
                digest.update(chunk)
                file.write(chunk)
        if not size:
            raise UnsupportedMedia("the file is empty")
        return size, digest.hexdigest()

    async def _look_into(self, path: Path, claimed_type: str) -> tuple[Probe, bytes]:
        probe = await self.tools.probe(path)
        if claimed_type and canonical(claimed_type) != probe.content_type:
            raise UnsupportedMedia(f"the file is {probe.content_type}, not {claimed_type} as its label says")
        return probe, await self.tools.thumbnail(path, probe)
