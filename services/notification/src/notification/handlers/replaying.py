"""What was sent to an endpoint and how it went, and sending it again."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.errors import EndpointDisabled, InvalidRequest, NotFound
from contracts.ports import Clock
from contracts.webhooks import DeliveryState

from notification.domain.places import Place
from notification.handlers.registering import Registering
from notification.ports import Deliveries, Delivery, Endpoint, Wanted


@dataclass(frozen=True)
class Replaying:
    registering: Registering
    deliveries: Deliveries
    clock: Clock
    wake: Callable[[], None]

    async def log(
        self, project_id: str, endpoint_id: str, state: DeliveryState | None, before: Place | None, limit: int
    ) -> tuple[Sequence[Delivery], Place | None]:
        """A page, the newest first, and where the next one begins. Raises `NotFound`."""
        await self.registering.own(project_id, endpoint_id)
        found = await self.deliveries.page(endpoint_id, state, before, limit + 1)
        page = found[:limit]
        following = Place(page[-1].created_at, page[-1].webhook_id) if len(found) > limit else None
        return page, following

    async def delivery(self, project_id: str, endpoint_id: str, webhook_id: str) -> Delivery:
        """Raises `NotFound`."""
        await self.registering.own(project_id, endpoint_id)
        return await self._delivery(endpoint_id, webhook_id)

    async def replay(self, project_id: str, endpoint_id: str, webhook_id: str) -> Delivery:
        """It goes out again under its own id. Raises `NotFound` and `EndpointDisabled`."""
        await self.enabled(project_id, endpoint_id)
        await self._delivery(endpoint_id, webhook_id)
        await self.deliveries.replay(endpoint_id, webhook_id, self.clock.now())
        self.wake()
        return await self._delivery(endpoint_id, webhook_id)

    def wanted(self, since: datetime, until: datetime | None, states: Sequence[str]) -> Wanted:
        """What came `since` and before `until`, which is now unless it is given. Raises `InvalidRequest`."""
        end = until or self.clock.now() + timedelta(microseconds=1)
        if since >= end:
            raise InvalidRequest("`since` must lie before `until`, or in the past where there is none")
        return Wanted(since, end, [DeliveryState(state) for state in states])

    async def replay_all(self, project_id: str, endpoint_id: str, wanted: Wanted) -> int:
        """How many go out again, each after what is fresh. Raises `NotFound` and `EndpointDisabled`."""
        await self.enabled(project_id, endpoint_id)
        replayed, place = 0, None
        while True:
            some, place = await self.deliveries.replay_next(endpoint_id, wanted, place)
            replayed += some
            self.wake()
            if place is None:
                return replayed
            # Others want the database too.
            await asyncio.sleep(0)

    async def enabled(self, project_id: str, endpoint_id: str) -> Endpoint:
        """Raises `NotFound` and `EndpointDisabled`."""
        endpoint = await self.registering.own(project_id, endpoint_id)
        if endpoint.health.off is not None:
            raise EndpointDisabled(
                f"nothing is sent to a disabled endpoint ({endpoint.health.disabled_because}); enable it first"
            )
        return endpoint

    async def _delivery(self, endpoint_id: str, webhook_id: str) -> Delivery:
        found = await self.deliveries.get(endpoint_id, webhook_id)
        if found is None:
            raise NotFound(f"no delivery {webhook_id} to this endpoint; old ones are forgotten")
        return found
