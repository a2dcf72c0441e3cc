"""One alarm per service and replica, set to the earliest moment anything of its is due.

The alternative, a job per task, would write to the scheduler's database for every heartbeat. One
alarm that moves only towards earlier costs a write per ring, whatever the number of tasks.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from contracts.errors import RetryableError
from contracts.ports import Clock, Jobs

log = structlog.get_logger(__name__)

OVERDUE = timedelta(seconds=2)
TRY_AGAIN_SECONDS = 1.0
EARLY_AGAIN_SECONDS = 1.0
"""A scheduler whose clock is ahead of ours rings at once, again and again, until our time has come too."""


class Alarm:
    def __init__(self, jobs: Jobs, clock: Clock, name: str, overdue: timedelta = OVERDUE) -> None:
        self.name = name
        self._jobs = jobs
        self._clock = clock
        self._overdue = overdue
        self._next: datetime | None = None
        self._set_for: datetime | None = None
        self._early = False
        self._moved = asyncio.Event()

    def at(self, due: datetime) -> None:
        """Asks to be woken at or soon after `due`. Costs nothing unless it is the earliest wish."""
        if self._next is None or due < self._next:
            self._next = due
            self._moved.set()

    async def ring(self, do_due: Callable[[datetime], Awaitable[datetime | None]]) -> None:
        """Answers the scheduler's callback: `do_due` does what is due and says when the next thing is.

        Safe to call at any time and more than once.
        """
        self._next = None
        now = self._clock.now()
        following = await do_due(now)
        if following is not None:
            self._early = self._set_for is not None and now < self._set_for <= following
            self.at(following)

    async def keep_set(self) -> None:
        """Runs for as long as the service does: hands wishes to the scheduler, again when it is away."""
        while True:
            await self._until_moved_or_overdue()
            if self._early:
                self._early = False
                await asyncio.sleep(EARLY_AGAIN_SECONDS)
            due = self._set_for = self._next
            if due is None:
                continue
            try:
                await self._jobs.schedule(self.name, due)
            except RetryableError as error:
                log.warning("the alarm could not be set; trying again", alarm=self.name, reason=error.detail)
                await asyncio.sleep(TRY_AGAIN_SECONDS)
                self._moved.set()

    async def _until_moved_or_overdue(self) -> None:
        """A ring that does not come was lost with the scheduler's data, or another replica has heard it."""
        try:
            async with asyncio.timeout(self._patience()):
                await self._moved.wait()
        except TimeoutError:
            if self._next is not None:
                log.warning("the alarm did not ring in time; it is set again", alarm=self.name)
        self._moved.clear()

    def _patience(self) -> float | None:
        if self._next is None:
            return None
        return max(self._overdue, self._next + self._overdue - self._clock.now()).total_seconds()
