"""Webhooks on their way, by Standard Webhooks 1.0.0: signed, repeated on a schedule, never lost.

A delivery is held, tried once, and settled: done, due again, or given up. Should the process die in
between, the delivery is due again when the hold on it runs out; the receiver knows the repetition by
its `webhook-id`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from chassis.background import keep_doing, look_for_due
from contracts.errors import RetryableError
from contracts.ports import Clock
from standardwebhooks import Webhook

from notification.domain import Answer, DeliveryState, next_try
from notification.ports import Deliveries, Delivery, Endpoint, Endpoints, Full, Sender, Share, Vault

log = structlog.get_logger(__name__)

PER_ENDPOINT = 4
"""A receiver that hangs holds up no more than so many places,"""
PROJECTS_AT_LEAST = 5
"""and a project with many of them no more than this part of all."""


@dataclass(frozen=True)
class Delivering:
    endpoints: Endpoints
    deliveries: Deliveries
    sender: Sender
    vault: Vault
    clock: Clock
    randomness: random.Random
    wake_at: Callable[[datetime], None]
    wanted: asyncio.Event
    at_once: int
    hold: timedelta
    """Longer than any try can take."""
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
        taken = await self.deliveries.take(now, now + self.hold, share, full, limit)
        self._at_endpoint.update(delivery.endpoint_id for delivery in taken)
        self._in_project.update(delivery.project_id for delivery in taken)
        return taken

    async def _deliver_or_put_off(self, delivery: Delivery) -> None:
        try:
            await self._deliver(delivery)
        except RetryableError as error:
            log.warning("a webhook stays under way", webhook_id=delivery.webhook_id, reason=error.detail)
        except Exception:
            log.exception("delivering a webhook met a bug", webhook_id=delivery.webhook_id)
            self.wake_at(self.clock.now() + self.hold)
        finally:
            _put_down(self._at_endpoint, delivery.endpoint_id)
            _put_down(self._in_project, delivery.project_id)

    async def _deliver(self, delivery: Delivery) -> None:
        endpoint = await self.endpoints.get(delivery.endpoint_id)
        if endpoint is None:
            return
        answer = await self.sender.send(endpoint.url, delivery.body.encode(), self._headers(delivery, endpoint))
        settled = self._settled(delivery, answer)
        if answer.gone:
            await self.endpoints.set_enabled(endpoint.id, False, "the receiver answered 410 Gone")
        await self.deliveries.settle(settled)
        if settled.state is DeliveryState.WAITING:
            self.wake_at(settled.due)
        log.info(
            "webhook tried",
            correlation_id=delivery.correlation_id,
            webhook_id=delivery.webhook_id,
            endpoint_id=endpoint.id,
            project_id=endpoint.project_id,
            tries=settled.tries,
            state=settled.state.value,
            status=answer.status,
        )

    def _headers(self, delivery: Delivery, endpoint: Endpoint) -> dict[str, str]:
        now = self.clock.now()
        signature = Webhook(self.vault.unlock(endpoint.secret)).sign(delivery.webhook_id, now, delivery.body)
        return {
            "Content-Type": "application/json",
            "webhook-id": delivery.webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }

    def _settled(self, delivery: Delivery, answer: Answer) -> Delivery:
        now, tries = self.clock.now(), delivery.tries + 1
        state, due = DeliveryState.DELIVERED, now
        if not answer.accepted:
            again = next_try(tries, answer, now, self.randomness)
            state, due = (DeliveryState.WAITING, again) if again else (DeliveryState.FAILED, now)
        return replace(
            delivery, state=state, due=due, tries=tries, last_status=answer.status, last_detail=answer.detail
        )


def _put_down(under_way: Counter[str], name: str) -> None:
    under_way[name] -= 1
    if not under_way[name]:
        del under_way[name]
