"""Webhooks on their way: repeated on a schedule, never lost, each endpoint and project with its share.

A delivery is held, tried once, and settled: done, due again, or given up.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from chassis.background import keep_doing, look_for_due
from contracts.errors import RetryableError
from contracts.ports import Clock

from notification.handlers.trying import Trying
from notification.ports import Deliveries, Delivery, Endpoints, Full, Share

log = structlog.get_logger(__name__)

PER_ENDPOINT = 4
"""A receiver that hangs holds up no more than so many places,"""
PROJECTS_AT_LEAST = 5
"""and a project with many of them no more than this part of all."""


@dataclass(frozen=True)
class Delivering:
    endpoints: Endpoints
    deliveries: Deliveries
    trying: Trying
    clock: Clock
    wanted: asyncio.Event
    at_once: int
    _at_endpoint: Counter[str] = field(default_factory=Counter)
    _in_project: Counter[str] = field(default_factory=Counter)

    async def take_due(self, now: datetime) -> datetime | None:
        """The alarm's answer: something put off is due."""
        return await look_for_due(self.wanted, self.deliveries.next_due, now)

    async def keep_delivering(self) -> None:
        """Runs for as long as the service does."""
        await keep_doing(self.wanted, self._take, self._deliver_or_put_off, self.at_once)

    async def _take(self, limit: int) -> Sequence[Delivery]:
        now = self.clock.now()
        share = Share(PER_ENDPOINT, max(PER_ENDPOINT, self.at_once // PROJECTS_AT_LEAST))
        full = Full(
            endpoints=[name for name, count in self._at_endpoint.items() if count >= share.per_endpoint],
            projects=[name for name, count in self._in_project.items() if count >= share.per_project],
        )
        taken = await self.deliveries.take(now, now + self.trying.hold, share, full, limit)
        self._at_endpoint.update(delivery.endpoint_id for delivery in taken)
        self._in_project.update(delivery.project_id for delivery in taken)
        return taken

    async def _deliver_or_put_off(self, delivery: Delivery) -> None:
        try:
            endpoint = await self.endpoints.get(delivery.endpoint_id)
            if endpoint is not None and endpoint.health.off is None:
                await self.trying.deliver(delivery, endpoint)
        except RetryableError as error:
            log.warning("a webhook stays under way", webhook_id=delivery.webhook_id, reason=error.detail)
        except Exception:
            log.exception("delivering a webhook met a bug", webhook_id=delivery.webhook_id)
            self.trying.deliver_at(delivery.due)
        finally:
            _put_down(self._at_endpoint, delivery.endpoint_id)
            _put_down(self._in_project, delivery.project_id)


def _put_down(under_way: Counter[str], name: str) -> None:
    under_way[name] -= 1
    if not under_way[name]:
        del under_way[name]
