"""Where a project wants to be told: endpoints are made, looked at and taken away by the project itself."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.errors import InvalidRequest, NotFound
from contracts.ports import Clock

from notification.ports import Deliveries, Delivery, Endpoint, Endpoints, Sender, Vault

DELIVERIES_SHOWN = 100
MOST_ENDPOINTS = 20
"""Of one project: every event is written down once for each."""


@dataclass(frozen=True)
class Registering:
    endpoints: Endpoints
    deliveries: Deliveries
    sender: Sender
    vault: Vault
    clock: Clock
    new_id: Callable[[], str]
    new_secret: Callable[[], bytes]
    wake: Callable[[], None]

    async def register(self, project_id: str, url: str, events: Sequence[str]) -> tuple[Endpoint, str]:
        """The endpoint and its signing secret, which is shown this once.

        Raises `InvalidRequest` for an address that webhooks may not go to, and for one endpoint too many.
        """
        await self.sender.check(url)
        secret = "whsec_" + base64.b64encode(self.new_secret()).decode()
        endpoint = Endpoint(
            id=self.new_id(),
            project_id=project_id,
            url=url,
            events=tuple(events),
            secret=self.vault.lock(secret),
            enabled=True,
            created_at=self.clock.now(),
        )
        if not await self.endpoints.add(endpoint, MOST_ENDPOINTS):
            raise InvalidRequest(f"the project has {MOST_ENDPOINTS} endpoints, which is the most; remove one first")
        return endpoint, secret

    async def list(self, project_id: str) -> Sequence[Endpoint]:
        return await self.endpoints.of_project(project_id)

    async def set_enabled(self, project_id: str, endpoint_id: str, enabled: bool) -> Endpoint:
        """Raises `NotFound`."""
        await self._own(project_id, endpoint_id)
        await self.endpoints.set_enabled(endpoint_id, enabled, None if enabled else "switched off by the project")
        if enabled:
            self.wake()
        return await self._own(project_id, endpoint_id)

    async def remove(self, project_id: str, endpoint_id: str) -> None:
        """Raises `NotFound`."""
        await self._own(project_id, endpoint_id)
        await self.endpoints.remove(endpoint_id)

    async def log(self, project_id: str, endpoint_id: str) -> Sequence[Delivery]:
        """Raises `NotFound`."""
        await self._own(project_id, endpoint_id)
        return await self.deliveries.of_endpoint(endpoint_id, DELIVERIES_SHOWN)

    async def _own(self, project_id: str, endpoint_id: str) -> Endpoint:
        endpoint = await self.endpoints.get(endpoint_id)
        if endpoint is None or endpoint.project_id != project_id:
            raise NotFound(f"no webhook endpoint {endpoint_id} in this project")
        return endpoint
