"""Endpoints that have failed for a while are asked now and then whether they are back.

Apart from delivering, with places of their own: however many receivers are dead, they take none from
those that answer.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from chassis.background import keep_doing, look_for_due
from contracts.errors import RetryableError
from contracts.ports import Clock

from notification.domain.health import nothing_to_probe_with
from notification.handlers.trying import Trying
from notification.ports import Deliveries, Endpoint, Endpoints

log = structlog.get_logger(__name__)

AT_ONCE = 20


@dataclass(frozen=True)
class Probing:
    endpoints: Endpoints
    deliveries: Deliveries
    trying: Trying
    clock: Clock
    wanted: asyncio.Event

    async def take_due(self, now: datetime) -> datetime | None:
        """The alarm's answer: a probe is due."""
        return await look_for_due(self.wanted, self.endpoints.next_probe, now)

    async def keep_probing(self) -> None:
        """Runs for as long as the service does."""
        await keep_doing(self.wanted, self._take, self._probe_or_put_off, AT_ONCE)

    async def _take(self, limit: int) -> Sequence[Endpoint]:
        now = self.clock.now()
        return await self.endpoints.take_probes(now, now + self.trying.hold, limit)

    async def _probe_or_put_off(self, endpoint: Endpoint) -> None:
        try:
            await self._probe(endpoint)
        except RetryableError as error:
            log.warning("a webhook endpoint is probed later", endpoint_id=endpoint.id, reason=error.detail)
        except Exception:
            log.exception("probing a webhook endpoint met a bug", endpoint_id=endpoint.id)

    async def _probe(self, endpoint: Endpoint) -> None:
        if endpoint.health.off is not None:
            await self.trying.ping(endpoint)
            return
        delivery = await self.deliveries.take_one(endpoint.id, self.clock.now() + self.trying.hold)
        if delivery is not None:
            await self.trying.deliver(delivery, endpoint)
        else:
            await self.endpoints.change(
                endpoint.id, lambda found: replace(found, health=nothing_to_probe_with(found.health))
            )
