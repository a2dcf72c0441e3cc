"""One replica leads: it matches, renews leases and watches. The others hear, note, and stand by."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from contracts.errors import RetryableError
from contracts.ports import Clock

from scheduling.domain.leading import NOBODY, Leadership, Seen, claim, leaders_clock_ahead, must_beat, see, still_leads
from scheduling.ports import Leaderships

log = structlog.get_logger(__name__)

LOOKS_PER_LEASE = 12


class Duties(Protocol):
    """What falls to a replica that takes over."""

    async def prepare(self) -> None:
        """Done before it leads."""

    def begin(self) -> None:
        """Done once it leads."""


class Leading:
    """This replica's part in who leads, and the clock that all replicas share: the leader's."""

    def __init__(
        self,
        leaderships: Leaderships,
        clock: Clock,
        replica: str,
        lease: timedelta,
        check_bus: Callable[[], Awaitable[None]],
    ) -> None:
        self._leaderships = leaderships
        self._clock = clock
        self._replica = replica
        self._lease = lease
        self._check_bus = check_bus
        self._seen: Seen | None = None
        self._held: Leadership | None = None
        self._beaten_at: datetime | None = None
        """When the beat that is written down was asked for; none while another replica leads."""
        self._ahead = timedelta()

    def now(self) -> datetime:
        """The time by the leader's clock, as far as it is known. Who takes over goes on with it."""
        return self._clock.now() + self._ahead

    def leads(self) -> bool:
        """Whether this replica leads at this moment. Asked before each thing that only the leader does."""
        return self._beaten_at is not None and still_leads(self._beaten_at, self._clock.now(), self._lease)

    async def keep_looking(self, duties: Duties) -> None:
        """Runs for as long as the service does."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / LOOKS_PER_LEASE)
            await self.try_to_look(duties)

    async def try_to_look(self, duties: Duties) -> None:
        """Looks, if the database answers. Where there is one replica, it leads from its first look on."""
        try:
            await self.look(duties)
        except RetryableError as error:
            # At a start it is mostly daprd, which delivers nothing before this process serves.
            level = logging.INFO if self._beaten_at is None else logging.WARNING
            log.log(level, "who leads cannot be told now", replica=self._replica, reason=error.detail)

    async def look(self, duties: Duties) -> None:
        """Beats when it is time to, or takes over from a leader that has stopped beating.

        Who cannot reach the bus could lead and help nobody: it lets another one take over.
        """
        asked_at = self._clock.now()
        if self._beaten_at is not None and not must_beat(self._beaten_at, asked_at, self._lease):
            return
        found = await self._leaderships.read()
        now = self._clock.now()
        ahead = leaders_clock_ahead(self._replica, self._seen, found, now)
        self._ahead = self._ahead if ahead is None else ahead
        self._seen = see(self._seen, found, now)
        claimed = claim(self._replica, self._seen, now, self.now(), self._lease)
        if claimed is not None:
            await self._check_bus()
        if claimed is None or not await self._leaderships.swap(found, claimed):
            self._follow()
            return
        led = self.leads()
        if not led:
            await duties.prepare()
        self._held, self._beaten_at = claimed, asked_at
        if not led:
            log.info("this replica leads", replica=self._replica, beat=claimed.beat)
            duties.begin()

    async def resign(self) -> None:
        """Lets another replica take over at once. For the very end, when nothing is done any more."""
        held, self._held, self._beaten_at = self._held, None, None
        if held is None:
            return
        try:
            await self._leaderships.swap(held, Leadership(NOBODY, held.beat + 1, self.now()))
        except RetryableError as error:
            log.warning("leadership could not be given up; it runs out", replica=self._replica, reason=error.detail)

    def _follow(self) -> None:
        if self._beaten_at is not None:
            log.warning("another replica leads", replica=self._replica)
        self._held, self._beaten_at = None, None
