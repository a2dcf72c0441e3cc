"""Giving files out, to their own project only."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from contracts.errors import NotFound
from contracts.media import MediaResult
from contracts.ports import ObjectStore
from contracts.records import Records

from storage.domain import Span


class Part(StrEnum):
    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"
    MANIFEST = "manifest"


@dataclass(frozen=True)
class Served:
    """One file: what it is, and where it lies."""

    key: str
    content_type: str
    size: int
    etag: str


@dataclass(frozen=True)
class Serving:
    media: Records[MediaResult]
    objects: ObjectStore

    async def look(self, media_id: str, project_id: str) -> MediaResult:
        """Raises `NotFound`, for an unknown id and for another project's alike."""
        media = await self.media.get(media_id)
        if media is None or media.project_id != project_id:
            raise NotFound(f"no media {media_id} in this project")
        return media

    async def find(self, media_id: str, project_id: str, part: Part) -> Served:
        """Raises `NotFound`."""
        media = await self.look(media_id, project_id)
        match part:
            case Part.ORIGINAL:
                return Served(media.key, media.content_type, media.size, f'"{media.sha256}"')
            case Part.THUMBNAIL:
                return await self._part(media.thumbnail_key, "image/webp", f'"{media.sha256}-thumbnail"')
            case Part.MANIFEST:
                return await self._part(media.manifest_key, "application/json", f'"{media.sha256}-manifest"')

    def read(self, served: Served, span: Span | None) -> AsyncIterator[bytes]:
        return self.objects.read(served.key, span.start, span.end) if span else self.objects.read(served.key)

    async def _part(self, key: str | None, content_type: str, etag: str) -> Served:
        found = await self.objects.head(key) if key else None
        if found is None:
            raise NotFound("this file has no such part")
        return Served(found.key, content_type, found.size, etag)
