"""Where a project wants to be told: endpoints are made, changed, tried out and taken away by the project itself."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from contracts.errors import InvalidRequest, LimitReached, NotFound
from contracts.ports import Clock

from notification.domain.deliveries import Answer
from notification.domain.health import HEALTHY, Off, moved, switched_off
from notification.domain.secrets import Secret, rotated
from notification.handlers.trying import Trying
from notification.ports import Endpoint, Endpoints, SenderOf, Vault

MOST_ENDPOINTS = 20
"""Of one project: every event is written down once for each."""
PING_AT_MOST_EVERY = timedelta(seconds=10)


@dataclass(frozen=True)
class Registering:
    endpoints: Endpoints
    sender_of: SenderOf
    vault: Vault
    trying: Trying
    clock: Clock
    new_id: Callable[[], str]
    new_secret: Callable[[], bytes]

    async def register(self, project_id: str, url: str, events: Sequence[str]) -> tuple[Endpoint, str]:
        """The endpoint and its signing secret, which is shown this once.

        Raises `InvalidRequest` for an address that webhooks may not go to, and for one endpoint too many;
        `LimitReached` while too many addresses are looked up.
        """
        await self.sender_of(project_id).check(url)
        secret, text = self._new_secret()
        endpoint = Endpoint(
            id=self.new_id(),
            project_id=project_id,
            url=url,
            events=tuple(events),
            secrets=(secret,),
            created_at=self.clock.now(),
        )
        if not await self.endpoints.add(endpoint, MOST_ENDPOINTS):
            raise InvalidRequest(f"the project has {MOST_ENDPOINTS} endpoints, which is the most; remove one first")
        return endpoint, text

    async def list(self, project_id: str) -> Sequence[Endpoint]:
        return await self.endpoints.of_project(project_id)

    async def own(self, project_id: str, endpoint_id: str) -> Endpoint:
        """Raises `NotFound`, also for another project's."""
        endpoint = await self.endpoints.get(endpoint_id)
        if endpoint is None or endpoint.project_id != project_id:
            raise _no_endpoint(endpoint_id)
        return endpoint

    async def change(
        self,
        project_id: str,
        endpoint_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        enabled: bool | None = None,
    ) -> Endpoint:
        """What is None stays.

        Raises `NotFound`, `InvalidRequest` for an address that webhooks may not go to, and `LimitReached` while too
        many addresses are looked up.
        """
        before = await self.own(project_id, endpoint_id)
        if url is not None:
            await self.sender_of(project_id).check(url)
        now = self.clock.now()

        def changed(found: Endpoint) -> Endpoint:
            health = found.health
            if url is not None and url != found.url:
                health = moved(health, now)
            if enabled is not None:
                stays_off = health.off is Off.PROJECT
                health = HEALTHY if enabled else health if stays_off else switched_off(now)
            return replace(
                found,
                url=found.url if url is None else url,
                events=found.events if events is None else tuple(events),
                health=health,
            )

        after = await self._change(endpoint_id, changed)
        if after.health != before.health and after.health == HEALTHY:
            await self.trying.release(endpoint_id)
        elif after.health.probe_due is not None:
            self.trying.probe_at(after.health.probe_due)
        return after

    async def remove(self, project_id: str, endpoint_id: str) -> None:
        """Raises `NotFound`."""
        await self.own(project_id, endpoint_id)
        await self.endpoints.remove(endpoint_id)

    async def rotate(self, project_id: str, endpoint_id: str, grace: timedelta) -> tuple[Secret, str]:
        """A new secret and its text, which is shown this once; the others stay valid for the grace time.

        Raises `NotFound`, and `InvalidRequest` while too many are valid.
        """
        await self.own(project_id, endpoint_id)
        secret, text = self._new_secret()
        await self._change(endpoint_id, lambda found: replace(found, secrets=rotated(found.secrets, secret, grace)))
        return secret, text

    async def ping(self, project_id: str, endpoint_id: str) -> Answer:
        """What the receiver answers to a ping at once. Raises `NotFound`, and `LimitReached`."""
        await self.own(project_id, endpoint_id)
        now = self.clock.now()

        def pinged(found: Endpoint) -> Endpoint:
            again_at = found.pinged_at + PING_AT_MOST_EVERY if found.pinged_at else now
            if again_at > now:
                every = f"{PING_AT_MOST_EVERY.total_seconds():g} s"
                raise LimitReached(f"one ping in {every}", (again_at - now).total_seconds())
            return replace(found, pinged_at=now)

        return await self.trying.ping(await self._change(endpoint_id, pinged))

    async def _change(self, endpoint_id: str, decide: Callable[[Endpoint], Endpoint]) -> Endpoint:
        changed = await self.endpoints.change(endpoint_id, decide)
        if changed is None:
            raise _no_endpoint(endpoint_id)
        return changed

    def _new_secret(self) -> tuple[Secret, str]:
        text = "whsec_" + base64.b64encode(self.new_secret()).decode()
        return Secret(self.new_id(), self.vault.lock(text), self.clock.now()), text


def _no_endpoint(endpoint_id: str) -> NotFound:
    return NotFound(f"no webhook endpoint {endpoint_id} in this project")
