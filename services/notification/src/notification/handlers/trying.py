"""One try of a webhook, by Standard Webhooks 1.0.0: signed, posted, and believed.

What it was answered says two things: how the delivery goes on, and how its endpoint is doing.
"""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from chassis.about import about_trace
from contracts.ports import Clock
from contracts.tracing import OFF, Span, SpanKind, TraceContext, Tracer
from contracts.webhooks import DeliveryState
from standardwebhooks import Webhook

from notification.domain.deliveries import Answer, next_try
from notification.domain.health import HEALTHY, Health, after_try
from notification.domain.secrets import valid
from notification.ports import Deliveries, Delivery, Endpoint, Endpoints, SenderOf, Tried, Vault

log = structlog.get_logger(__name__)

PING = "webhook.ping.v1"
ANSWERS_KEPT = 10
UNSIGNED = "none of the endpoint's secrets can be read; make a new one"


@dataclass(frozen=True)
class Trying:
    endpoints: Endpoints
    deliveries: Deliveries
    sender_of: SenderOf
    vault: Vault
    clock: Clock
    randomness: random.Random
    new_id: Callable[[], str]
    disable_after: timedelta
    hold: timedelta
    """Longer than any try can take."""
    deliver_at: Callable[[datetime], None]
    probe_at: Callable[[datetime], None]
    delivering_wanted: asyncio.Event
    on_tried: Callable[[Answer, DeliveryState], None]
    """Told what came of each try that was settled."""
    on_first_try: Callable[[timedelta], None]
    """Told how long a receiver that is well had to wait for it."""
    tracer: Tracer = OFF

    async def deliver(self, delivery: Delivery, endpoint: Endpoint) -> None:
        """`delivery` is held. Should the process die, it is due again when the hold on it runs out."""
        about = about_trace(
            delivery.traceparent, correlation_id=delivery.correlation_id, project_id=delivery.project_id
        )
        with about:
            await self._deliver(delivery, endpoint)

    async def _deliver(self, delivery: Delivery, endpoint: Endpoint) -> None:
        start, trace = self.clock.now(), _trace_of(delivery)
        if delivery.tries == 0 and endpoint.health == HEALTHY:
            self.on_first_try(start - delivery.created_at)
        answer = await self._post(endpoint, delivery.webhook_id, delivery.body, trace)
        if trace is not None:
            self.tracer.tell(_span(delivery, answer, trace, start, self.clock.now()))
        health = await self._judge(endpoint, answer)
        settled = self._settled(delivery, answer, health)
        if await self.deliveries.settle(delivery, settled):
            self.on_tried(answer, settled.state)
        if settled.state is DeliveryState.WAITING:
            self.deliver_at(settled.due)
        log.info(
            "webhook tried",
            webhook_id=delivery.webhook_id,
            endpoint_id=endpoint.id,
            tries=settled.tries,
            state=settled.state.value,
            status=answer.status,
            milliseconds=_milliseconds(answer),
        )

    async def ping(self, endpoint: Endpoint) -> Answer:
        """Asks the receiver whether it is there, also that of a disabled endpoint."""
        now = self.clock.now()
        body = {"type": PING, "timestamp": now.isoformat(), "data": {"endpoint_id": endpoint.id}}
        answer = await self._post(endpoint, f"msg_{self.new_id()}", json.dumps(body, separators=(",", ":")))
        await self._judge(endpoint, answer)
        log.info(
            "webhook endpoint pinged", endpoint_id=endpoint.id, project_id=endpoint.project_id, status=answer.status
        )
        return answer

    async def release(self, endpoint_id: str) -> None:
        """Everything that waits for the endpoint goes out at once."""
        now = self.clock.now()
        # What is due within the hold may be under way, and is due by itself soon enough.
        await self.deliveries.release(endpoint_id, now, now + self.hold)
        self.delivering_wanted.set()

    async def _post(self, endpoint: Endpoint, webhook_id: str, body: str, trace: TraceContext | None = None) -> Answer:
        now = self.clock.now()
        texts = [self.vault.unlock(secret.locked) for secret in valid(endpoint.secrets, now)]
        signatures = [Webhook(text).sign(webhook_id, now, body) for text in texts if text is not None]
        if len(signatures) < len(texts):
            log.error("a webhook secret cannot be read: its encryption key is not configured", endpoint_id=endpoint.id)
        if not signatures:
            return Answer(None, UNSIGNED)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        if trace is not None:
            headers["traceparent"] = str(trace)
        return await self.sender_of(endpoint.project_id).send(endpoint.url, body.encode(), headers)

    async def _judge(self, endpoint: Endpoint, answer: Answer) -> Health:
        """How the endpoint is after this answer; what changes is saved."""
        if answer.accepted and endpoint.health == HEALTHY:
            return HEALTHY
        now = self.clock.now()

        def judged(found: Endpoint) -> Endpoint:
            return replace(found, health=after_try(found.health, answer, now, self.disable_after, self.randomness))

        if answer.accepted and endpoint.health.comes_back:
            # Before it is saved as healthy: whoever dies in between leaves a probe that does this again.
            await self.release(endpoint.id)
        saved = await self.endpoints.change(endpoint.id, judged)
        health = saved.health if saved else HEALTHY
        if health.probe_due is not None:
            self.probe_at(health.probe_due)
        if health.state is not endpoint.health.state:
            log.info(
                "a webhook endpoint has changed",
                endpoint_id=endpoint.id,
                project_id=endpoint.project_id,
                state=health.state.value,
                reason=health.disabled_because or answer.detail,
            )
        self.delivering_wanted.set()
        return health

    def _settled(self, delivery: Delivery, answer: Answer, health: Health) -> Delivery:
        now, tries = self.clock.now(), delivery.tries + 1
        state, due = DeliveryState.DELIVERED, now
        if not answer.accepted:
            hopeless = health.probe_due is None
            again = next_try(tries, answer, now, self.randomness, hopeless=hopeless)
            state, due = (DeliveryState.WAITING, again) if again else (DeliveryState.FAILED, now)
        tried = Tried(now, answer.status, answer.detail, _milliseconds(answer))
        answers = (*delivery.answers, tried)[-ANSWERS_KEPT:]
        return replace(delivery, state=state, due=due, tries=tries, answers=answers)


def _milliseconds(answer: Answer) -> int:
    return round(answer.took / timedelta(milliseconds=1))


def _trace_of(delivery: Delivery) -> TraceContext | None:
    """The span of its next try."""
    about = TraceContext.read(delivery.traceparent)
    return about.child("webhook", delivery.webhook_id, delivery.endpoint_id, str(delivery.tries)) if about else None


def _span(delivery: Delivery, answer: Answer, trace: TraceContext, start: datetime, end: datetime) -> Span:
    """Without the address, which may hold what the receiver keeps secret."""
    attributes: dict[str, str | int | float | bool] = {
        "movie_tasks.event.type": delivery.type,
        "movie_tasks.project.id": delivery.project_id,
        "movie_tasks.endpoint.id": delivery.endpoint_id,
        "movie_tasks.try": delivery.tries + 1,
    }
    if answer.status is not None:
        attributes["http.response.status_code"] = answer.status
    error = None if answer.accepted else str(answer.status or "no-answer")
    about = TraceContext.read(delivery.traceparent)
    return Span("webhook", trace, about, start, end, SpanKind.CLIENT, attributes, error=error)
