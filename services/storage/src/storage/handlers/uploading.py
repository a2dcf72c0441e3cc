"""Files that people bring as inputs of their tasks."""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import PayloadTooLarge, UnsupportedMedia
from contracts.media import MediaResult
from contracts.ports import Clock, ObjectStore
from contracts.records import Records

from storage.domain import Checked, canonical, media_result
from storage.ports import MediaTools


@dataclass(frozen=True)
class Uploading:
    media: Records[MediaResult]
    objects: ObjectStore
    tools: MediaTools
    clock: Clock
    new_media_id: Callable[[], str]
    largest: int

    async def take(self, project_id: str, claimed_type: str, content: AsyncIterator[bytes], path: Path) -> MediaResult:
        """Stores an upload after looking into it; `path` is a place on the local disk to do so.

        Raises `PayloadTooLarge` and `UnsupportedMedia`.
        """
        checked = await self._receive(content, path)
        if claimed_type and canonical(claimed_type) != checked.probe.content_type:
            raise UnsupportedMedia(f"the file is {checked.probe.content_type}, not {claimed_type} as its label says")
        result = media_result(self.new_media_id(), project_id, None, checked, self.clock.now())
        thumbnail = await self.tools.thumbnail(path, checked.probe)
        await self.objects.put(result.key, path)
        if result.thumbnail_key:
            await self.objects.put(result.thumbnail_key, thumbnail)
        # The record comes last: until it is there, nobody can find the files.
        await self.media.create(result.id, result)
        return result

    async def _receive(self, content: AsyncIterator[bytes], path: Path) -> Checked:
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
        return Checked(await self.tools.probe(path), size, digest.hexdigest())
