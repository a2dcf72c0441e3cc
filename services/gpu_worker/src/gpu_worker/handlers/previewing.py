"""Pictures of runs that somebody watches: asked for now and then, put where they are looked at, and told of.

While nobody watches, the engine is asked for nothing and draws nothing. A preview is lost without harm.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from contracts.errors import RetryableError
from contracts.events import CloudEvent, FeedWatched
from contracts.ports import Clock
from contracts.topics import preview_key

from gpu_worker.domain.attempts import Attempt
from gpu_worker.domain.interest import Interest
from gpu_worker.handlers.files import Files
from gpu_worker.handlers.milestones import Milestones
from gpu_worker.ports import Engine
from gpu_worker.protocol import Shown

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Previewing:
    engine: Engine
    files: Files
    milestones: Milestones
    clock: Clock
    every: timedelta
    """At most so often for each attempt."""
    interest: Interest = field(default_factory=Interest)

    async def on_feed_watched(self, watched: FeedWatched, _envelope: CloudEvent) -> None:
        now = self.clock.now()
        self.interest.shown(watched.parts, now + timedelta(seconds=watched.seconds), now)

    def ask(self, attempt: Attempt, now: datetime) -> None:
        """Has the engine draw what there is after the next step, if somebody watches and has not just seen one."""
        task_id, number = attempt.key
        asked_at = attempt.preview_asked_at
        if asked_at is not None and now - asked_at < self.every:
            return
        if self.interest.covers(attempt.assignment.project_id, task_id, attempt.tags, now):
            attempt.preview_asked_at = now
            self.engine.show(task_id, number)

    def take(self, attempt: Attempt, shown: Shown) -> None:
        """Beside the run, which waits for nothing here. What comes while another is still put away is left out."""
        if attempt.showing is None or attempt.showing.done():
            attempt.showing = asyncio.create_task(self._show(attempt, shown))

    async def _show(self, attempt: Attempt, shown: Shown) -> None:
        try:
            await self.files.show(shown)
        except RetryableError as error:
            log.warning("a preview was not kept", step=shown.step, reason=error.detail)
            return
        await self.milestones.tell_progress(attempt, self.clock.now(), shown.step)

    async def end(self, attempt: Attempt) -> None:
        """Takes away what was shown. Whatever is left nevertheless is swept with the rest of staging."""
        if attempt.showing is None:
            return
        attempt.showing.cancel()
        await asyncio.wait([attempt.showing])
        try:
            await self.files.delete(preview_key(*attempt.key))
        except RetryableError as error:
            log.warning("a preview is left to the sweep", reason=error.detail)
