"""The watchdog: looks at every task of which nothing was heard in time, and moves it on."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from contracts.errors import RetryableError
from contracts.events import CancelRequested, cancel_requested, task_changed
from contracts.media import Medium
from contracts.ports import Clock, Publisher
from contracts.records import TaskRecords
from contracts.tasks import Backoff, Move, Owner, Task
from contracts.topics import App

from scheduling.domain.watching import look_again_at, overdue
from scheduling.ports import Entry, Queue

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
TELL_AGAIN = timedelta(seconds=2)
"""How soon a replica that does not lead says again that something is due."""


@dataclass(frozen=True)
class Watchdog:
    tasks: TaskRecords
    queue: Queue
    publisher: Publisher
    match_soon: Callable[[Medium], None]
    leads: Callable[[], bool]
    clock: Clock
    lease: timedelta
    backoff: Backoff
    randomness: random.Random
    wanted: asyncio.Event
    """Set by who wants a look before the alarm rings."""
    _caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def prepare(self) -> None:
        """While nobody led, nobody's heartbeat could renew a lease."""
        await self.queue.renew_all(self.clock.now() + self.lease)

    def begin(self) -> None:
        """Looks at everything and matches everything anew."""
        self._caught_up.clear()
        self.wanted.set()
        for medium in Medium:
            self.match_soon(medium)

    async def keep_looking(self, ring: Callable[[], Awaitable[None]]) -> None:
        """Runs for as long as the service does: rings whenever a look is wanted."""
        while True:
            await self.wanted.wait()
            self.wanted.clear()
            try:
                await ring()
            except RetryableError as error:
                log.warning("the watchdog's look is put off", reason=error.detail)
                await asyncio.sleep(PAUSE_SECONDS)
                self.wanted.set()

    async def look(self, now: datetime) -> datetime | None:
        """Moves on everything that is due; says when the next task is."""
        async with self._looking:
            if not self.leads():
                return await self._pass_on(now)
            if not self._caught_up.is_set():
                await self._catch_up(now)
                self._caught_up.set()
            await self.queue.sweep(now)
            for entry in await self.queue.due(now):
                if not self.leads():
                    break
                await self._look_at(entry)
                self.match_soon(entry.medium)
            return await self.queue.next_due()

    async def _pass_on(self, now: datetime) -> datetime | None:
        """The scheduler rings any replica it likes; what is due is the leader's to do."""
        for medium in {entry.medium for entry in await self.queue.due(now)}:
            self.match_soon(medium)
        following = await self.queue.next_due()
        return max(following, now + TELL_AGAIN) if following else None

    async def _catch_up(self, now: datetime) -> None:
        """What workers had when we went may have been handed back or ended, and nobody was there to hear it."""
        for medium in Medium:
            for entry in await self.queue.held(medium):
                task = await self.tasks.get(entry.task_id)
                if task is not None and (task.attempt, task.phase) != (entry.attempt, entry.phase):
                    await self.queue.look_again(entry.task_id, now)

    async def _look_at(self, entry: Entry) -> None:
        now = self.clock.now()
        before = await self.tasks.get(entry.task_id)
        if before is None:
            await self.queue.remove(entry.task_id)
            return
        found = overdue(before, _heard_at(entry, before), now, self.backoff, self.randomness)
        after = before if found.move is None else await self._move(before, found.move)
        if found.announce or after is not before:
            log.warning(
                "task overdue",
                correlation_id=after.correlation_id,
                task_id=after.id,
                was=entry.phase.value,
                now=after.phase.value,
            )
            await self.publisher.publish(task_changed(after, App.SCHEDULING))
        look_at = look_again_at(after, _heard_at(entry, after) or now, now, self.lease)
        await self.queue.correct(after, entry.seq, now, look_at)

    async def _move(self, before: Task, move: Move) -> Task:
        """The task after the move, or as somebody else has moved it meanwhile."""

        def unless_moved(found: Task) -> Move | None:
            return move if (found.attempt, found.phase) == (before.attempt, before.phase) else None

        after = await self.tasks.change(before.id, unless_moved)
        if before.phase.owner is Owner.WORKER:
            stop = CancelRequested(task_id=before.id, attempt=before.attempt)
            await self.publisher.publish(cancel_requested(stop, App.SCHEDULING, self.clock.now()))
        return after


def _heard_at(entry: Entry, task: Task) -> datetime | None:
    """When the task's attempt and phase were heard of, if what was heard of it is what its record says."""
    return entry.phase_heard_at if (entry.attempt, entry.phase) == (task.attempt, task.phase) else None
