"""From an event to everybody who wants to know of it.

A delivery from the bus only writes down what is to be told; the telling happens beside it.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from contracts.errors import RetryableError
from contracts.events import CloudEvent, TaskChanged, TaskRejected, TaskReminder, feed_grew
from contracts.ports import Clock, Publisher
from contracts.topics import App
from contracts.webhooks import DeliveryState

from notification.domain.happenings import (
    Happening,
    happening_of_change,
    happening_of_rejection,
    happening_of_reminder,
    wants,
)
from notification.ports import Deliveries, Delivery, Endpoints, Feed

log = structlog.get_logger(__name__)

PRUNE_EVERY = timedelta(hours=1)
GATHER_SECONDS = 0.05
PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Telling:
    endpoints: Endpoints
    deliveries: Deliveries
    feed: Feed
    publisher: Publisher
    clock: Clock
    delivering_wanted: asyncio.Event
    feed_kept: timedelta
    reminder_late_after: timedelta
    tell_watchers: Callable[[int], None]
    """Of this replica: the feed has entries up to this position."""
    _grown: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)

    async def on_task_changed(self, changed: TaskChanged, envelope: CloudEvent) -> None:
        await self._note(happening_of_change(changed, envelope.id, envelope.type), envelope)

    async def on_task_rejected(self, rejected: TaskRejected, envelope: CloudEvent) -> None:
        await self._note(happening_of_rejection(rejected, envelope.id, envelope.time or self.clock.now()), envelope)

    async def on_task_reminder(self, reminder: TaskReminder, envelope: CloudEvent) -> None:
        """It may have been said in time and be heard late."""
        now = self.clock.now()
        told = reminder.told(now, self.reminder_late_after)
        await self._note(happening_of_reminder(told, envelope.id, envelope.time or now), envelope)

    async def keep_hinting(self) -> None:
        """Runs for as long as the service does: tells the other replicas that the feed has grown.

        They look for themselves every few seconds, so a hint that cannot be given only costs those.
        """
        while True:
            position = await self._grown.get()
            while not self._grown.empty():
                position = max(position, self._grown.get_nowait())
            try:
                await self.publisher.publish(feed_grew(position, App.NOTIFICATION, self.clock.now()))
            except RetryableError as error:
                log.warning("live watchers of other replicas have to wait", reason=error.detail)
                await asyncio.sleep(PAUSE_SECONDS)
            # The first is told at once; under load many come after it, and the last one stands for all.
            await asyncio.sleep(GATHER_SECONDS)

    async def prune(self, now: datetime) -> datetime:
        """Forgets what is too old to resume from; says when to do so again."""
        await self.feed.prune(now - self.feed_kept)
        return now + PRUNE_EVERY

    async def _note(self, happening: Happening, envelope: CloudEvent) -> None:
        endpoints = await self.endpoints.remembered(happening.project_id)
        wanting = [one for one in endpoints if one.health.hears and wants(one.events, happening.type)]
        if wanting:
            await self.deliveries.add([self._delivery(happening, endpoint.id, envelope) for endpoint in wanting])
            self.delivering_wanted.set()
        # What is kept is kept by time, so a clock that is ahead must not keep it longer.
        position = await self.feed.add(replace(happening, at=min(happening.at, self.clock.now())))
        if position is not None:
            self.tell_watchers(position)
            self._grown.put_nowait(position)

    def _delivery(self, happening: Happening, endpoint_id: str, envelope: CloudEvent) -> Delivery:
        now = self.clock.now()
        body = {"type": happening.type, "timestamp": happening.at.isoformat(), "data": happening.data}
        return Delivery(
            webhook_id=happening.webhook_id,
            endpoint_id=endpoint_id,
            project_id=happening.project_id,
            type=happening.type,
            body=json.dumps(body, separators=(",", ":")),
            state=DeliveryState.WAITING,
            tries=0,
            due=now,
            created_at=now,
            correlation_id=envelope.correlationid,
            traceparent=envelope.traceparent,
        )
