"""From an event to everybody who wants to know of it.

A delivery from the bus only writes down what is to be told; the telling happens beside it.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from contracts.errors import RetryableError
from contracts.events import LARGEST_EVENT, CloudEvent, FeedEntry, TaskChanged, TaskRejected, feed_grew
from contracts.ports import Clock, Publisher
from contracts.topics import App

from notification.domain import (
    DeliveryState,
    Happening,
    batches,
    happening_of_change,
    happening_of_rejection,
    wants,
)
from notification.ports import Deliveries, Delivery, Endpoints, Feed

log = structlog.get_logger(__name__)

PRUNE_EVERY = timedelta(hours=1)
GATHER_SECONDS = 0.01
LARGEST_BATCH = LARGEST_EVENT * 3 // 4
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
    _entries: "asyncio.Queue[FeedEntry]" = field(default_factory=asyncio.Queue)

    async def on_task_changed(self, changed: TaskChanged, envelope: CloudEvent) -> None:
        await self._note(happening_of_change(changed, envelope.id, envelope.type))

    async def on_task_rejected(self, rejected: TaskRejected, envelope: CloudEvent) -> None:
        await self._note(happening_of_rejection(rejected, envelope.id, envelope.time or self.clock.now()))

    async def keep_broadcasting(self) -> None:
        """Runs for as long as the service does: tells every replica's watchers how the feed grew."""
        while True:
            entries = [await self._entries.get()]
            # Under load entries come many at a time, and one event can carry them all.
            await asyncio.sleep(GATHER_SECONDS)
            while not self._entries.empty():
                entries.append(self._entries.get_nowait())
            for batch in batches(entries, LARGEST_BATCH):
                await self._broadcast(batch)

    async def _broadcast(self, entries: Sequence[FeedEntry]) -> None:
        """Again until it is out: a watcher has no way to know that it has missed something."""
        while True:
            try:
                await self.publisher.publish(feed_grew(entries, App.NOTIFICATION, self.clock.now()))
            except RetryableError as error:
                log.warning("live watchers have to wait", reason=error.detail)
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def prune(self, now: datetime) -> datetime:
        """Forgets what is too old to resume from; says when to do so again."""
        await self.feed.prune(now - self.feed_kept)
        return now + PRUNE_EVERY

    async def _note(self, happening: Happening) -> None:
        endpoints = await self.endpoints.remembered(happening.project_id)
        wanting = [one for one in endpoints if one.enabled and wants(one.events, happening.type)]
        if wanting:
            await self.deliveries.add([self._delivery(happening, endpoint.id) for endpoint in wanting])
            self.delivering_wanted.set()
        position = await self.feed.add(happening)
        if position is not None:
            self._entries.put_nowait(
                FeedEntry(
                    position=position,
                    project_id=happening.project_id,
                    task_id=happening.task_id,
                    type=happening.type,
                    data=happening.data,
                )
            )

    def _delivery(self, happening: Happening, endpoint_id: str) -> Delivery:
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
            correlation_id=happening.data.get("correlation_id"),
        )
