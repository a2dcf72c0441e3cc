"""Previews for live watchers: workers are told what is watched, watchers are given links to what there is to see."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from chassis.preview_links import Previewed, PreviewLinks
from contracts.errors import RetryableError
from contracts.events import MOST_PARTS, FeedWatched, TaskProgressed, WatchedPart, feed_watched
from contracts.ports import Clock, Publisher
from contracts.topics import App

from notification.domain.live import widest
from notification.handlers.watching import Watching

log = structlog.get_logger(__name__)

SAY_AGAIN_SECONDS = 5.0
HOLDS_SECONDS = 15.0
"""So that two words in a row may be lost."""
GATHER_SECONDS = 0.5
"""Many come at once when a replica has gone."""


def preview_url(links: PreviewLinks | None, clock: Clock, progressed: TaskProgressed) -> str | None:
    """Nothing unless there is a new one, and links to it can be made."""
    if links is None or progressed.preview_step is None:
        return None
    previewed = Previewed(progressed.project_id, progressed.task_id, str(progressed.attempt))
    return links.url(previewed, clock.now())


@dataclass(frozen=True)
class Previewing:
    watching: Watching
    publisher: Publisher
    clock: Clock

    async def keep_saying_what_is_watched(self) -> None:
        """Runs for as long as the service does: at once when somebody comes, and again while anybody watches."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SAY_AGAIN_SECONDS if self.watching.scopes else None):
                    await self.watching.joined.wait()
            self.watching.joined.clear()
            await self._say()
            await asyncio.sleep(GATHER_SECONDS)

    async def _say(self) -> None:
        """What is lost is said again soon."""
        parts = [WatchedPart(**vars(scope)) for scope in widest(self.watching.scopes)]
        try:
            for some in _in_events(parts):
                watched = FeedWatched(parts=tuple(some), seconds=HOLDS_SECONDS)
                await self.publisher.publish(feed_watched(watched, App.NOTIFICATION, self.clock.now()))
        except RetryableError as error:
            log.warning("workers do not hear what is watched", reason=error.detail)


def _in_events(parts: Sequence[WatchedPart]) -> Iterator[Sequence[WatchedPart]]:
    for start in range(0, len(parts), MOST_PARTS):
        yield parts[start : start + MOST_PARTS]
