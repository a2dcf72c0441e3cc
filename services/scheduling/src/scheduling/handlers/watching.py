"""The watchdog: looks at every task of which nothing was heard in time, and moves it on."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

import structlog
from chassis.about import about_task
from contracts.events import CancelRequested, cancel_requested, task_changed
from contracts.media import Medium
from contracts.ports import Clock, Publisher
from contracts.records import TaskRecords
from contracts.tasks import Backoff, Move, Owner, Phase, Task
from contracts.topics import App

from scheduling.domain.watching import LOOK_AT_HELD, is_held, look_after_saying, look_again_at, overdue
from scheduling.ports import Entry, Queue

log = structlog.get_logger(__name__)

TELL_AGAIN = timedelta(seconds=2)
"""How soon a replica that does not lead says again that something is due."""
PLANNED: Mapping[Phase, str] = MappingProxyType(
    {Phase.SCHEDULED: "the task's time has come", Phase.BLOCKED: "what the task needs has ended"}
)


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
        """What workers had when we went may have been handed back or ended, and nobody was there to hear it.

        What went down with a broker that forgets, storage was not there to hear.
        """
        for entry in await self.queue.under_way():
            if entry.phase.owner is Owner.STORAGE or await self._has_moved_on(entry):
                await self.queue.look_again(entry.task_id, entry.seq, now)

    async def _has_moved_on(self, entry: Entry) -> bool:
        task = await self.tasks.get(entry.task_id)
        return task is not None and (task.attempt, task.phase) != (entry.attempt, entry.phase)

    async def _look_at(self, entry: Entry) -> None:
        now = self.clock.now()
        before = await self.tasks.get(entry.task_id)
        if before is None:
            await self.queue.remove(entry.task_id)
            return
        others, needed = await self._others(before), await self._needed(before)
        heard_at = _heard_at(entry, before)
        found = overdue(before, heard_at, now, self.backoff, self.randomness, others, entry.held, needed)
        after = before if found.move is None else await self._move(before, found.move)
        look_at = look_again_at(after, _heard_at(entry, after) or now, now, self.lease)
        if found.announce or after is not before:
            look_at = look_after_saying(after, look_at, now)
            planned = PLANNED.get(before.phase)
            level = logging.INFO if planned else logging.WARNING
            with about_task(after):
                log.log(level, planned or "task overdue", was=entry.phase.value, now=after.phase.value)
            await self.publisher.publish(task_changed(after, App.SCHEDULING))
        await self.queue.correct(after, entry.seq, now, look_at, entry.look_at)
        if is_held(after, now, others):
            await self._hold(after, now)

    async def _hold(self, task: Task, now: datetime) -> None:
        """Only what is held is woken, so those that it waits for are looked at once more when it is."""
        await self.queue.hold(task.id, now + LOOK_AT_HELD)
        if not is_held(task, now, await self._others(task)):
            await self.queue.look_again(task.id, task.seq, now)

    async def _others(self, task: Task) -> Sequence[Task]:
        """The open instances of the same series, by their records: what was heard of them may be old."""
        if task.series is None or task.phase is not Phase.SCHEDULED:
            return ()
        ids = [task_id for task_id in await self.queue.of_series(task.series.id) if task_id != task.id]
        found = [await self.tasks.get(task_id) for task_id in ids]
        return [other for other in found if other is not None and not other.phase.terminal]

    async def _needed(self, task: Task) -> Mapping[str, Task]:
        """The tasks whose results it waits for, by their records."""
        if task.phase is not Phase.BLOCKED:
            return {}
        found = [await self.tasks.get(task_id) for task_id in dict.fromkeys(task.needs.values())]
        return {other.id: other for other in found if other is not None}

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
