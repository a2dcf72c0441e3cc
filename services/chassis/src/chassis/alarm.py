"""One alarm per service and replica, set to the earliest moment anything of its is due.

The alternative, a job per task, would write to the scheduler's database for every heartbeat. One
alarm that moves only towards earlier costs a write per ring, whatever the number of tasks.

The scheduler's ring is what makes it punctual; nothing depends on it. A ring may be lost with the
scheduler's data, come late because the scheduler is away, or be heard by another replica instead, so
what is overdue is done without it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from contracts.errors import RetryableError
from contracts.ports import Clock, Jobs

log = structlog.get_logger(__name__)

LOOK_EVERY = timedelta(minutes=1)
"""How often a replica looks for what another has left behind."""
OVERDUE = timedelta(seconds=2)
TRY_AGAIN_SECONDS = 1.0
EARLY_AGAIN_SECONDS = 1.0
"""A scheduler whose clock is ahead of ours rings at once, again and again, until our time has come too."""

DoDue = Callable[[datetime], Awaitable[datetime | None]]
"""Does what is due and says when the next thing is. Safe at any time and more than once."""


class Alarm:
    """`at_least_every` is for work that replicas share: one of them may die with what it has taken, and
    only by looking do the others find out."""

    def __init__(
        self,
        jobs: Jobs,
        clock: Clock,
        name: str,
        overdue: timedelta = OVERDUE,
        at_least_every: timedelta | None = None,
    ) -> None:
        self.name = name
        self._jobs = jobs
        self._clock = clock
        self._overdue = overdue
        self._at_least_every = at_least_every
        self._next: datetime | None = None
        self._set_for: datetime | None = None
        self._rung_early = False
        self._rung = clock.now()
        self._to_be_set = asyncio.Event()
        self._to_be_awaited = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def at(self, due: datetime) -> None:
        """Asks to be woken at or soon after `due`. Costs nothing unless it is the earliest wish."""
        if self._next is None or due < self._next:
            self._next = due
            self._to_be_set.set()
            self._to_be_awaited.set()

    async def ring(self, do_due: DoDue) -> None:
        """Answers the scheduler's callback. What `do_due` raises is raised, and it is due again."""
        async with self._one_at_a_time:
            self._next, self._rung = None, self._clock.now()
            self._rung_early = self._set_for is not None and self._rung < self._set_for
            try:
                following = await do_due(self._clock.now())
            except BaseException:
                self.at(self._clock.now())
                raise
            if self._at_least_every is not None:
                look_again = self._clock.now() + self._at_least_every
                following = min(following or look_again, look_again)
            if following is not None:
                self.at(following)

    async def keep_set(self, do_due: DoDue) -> None:
        """Runs for as long as the service does: hands wishes to the scheduler, and does by itself what is overdue."""
        async with asyncio.TaskGroup() as group:
            # Apart, because a scheduler that is away keeps its caller waiting.
            group.create_task(self._keep_job_set())
            group.create_task(self._keep_doing_what_is_overdue(do_due))

    async def _keep_job_set(self) -> None:
        while True:
            await self._to_be_set.wait()
            self._to_be_set.clear()
            if self._rung_early:
                self._rung_early = False
                await asyncio.sleep(EARLY_AGAIN_SECONDS)
            self._set_for = self._next
            if self._set_for is None:
                continue
            try:
                await self._jobs.schedule(self.name, self._set_for)
            except RetryableError as error:
                log.warning("the alarm could not be set; trying again", alarm=self.name, reason=error.detail)
                await asyncio.sleep(TRY_AGAIN_SECONDS)
                self._to_be_set.set()

    async def _keep_doing_what_is_overdue(self, do_due: DoDue) -> None:
        while True:
            await self._until_overdue_or_moved()
            if (overdue_at := self._overdue_at()) is not None and overdue_at <= self._clock.now():
                try:
                    await self.ring(do_due)
                except RetryableError as error:
                    log.warning("what is due cannot be done now", alarm=self.name, reason=error.detail)
                except Exception:
                    log.exception("what is due met a bug", alarm=self.name)

    async def _until_overdue_or_moved(self) -> None:
        overdue_at = self._overdue_at()
        patience = (overdue_at - self._clock.now()).total_seconds() if overdue_at is not None else None
        try:
            async with asyncio.timeout(patience):
                await self._to_be_awaited.wait()
        except TimeoutError:
            pass
        self._to_be_awaited.clear()

    def _overdue_at(self) -> datetime | None:
        """What was due already when the alarm last rang could not be done then; it is not asked for at once."""
        return max(self._next, self._rung) + self._overdue if self._next is not None else None


@dataclass(frozen=True)
class Chore:
    """An alarm and what is due when it goes off, whether the scheduler rings or stays silent."""

    alarm: Alarm
    do_due: DoDue

    async def ring(self) -> None:
        await self.alarm.ring(self.do_due)

    async def keep_set(self) -> None:
        """Runs for as long as the service does."""
        await self.alarm.keep_set(self.do_due)
