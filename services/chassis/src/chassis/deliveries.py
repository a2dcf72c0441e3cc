"""Deliveries of events: from daprd's request to the services' handlers, and back to an answer.

Answers are Dapr's: SUCCESS acknowledges, RETRY delivers again under the component's inbound policy.
An event that can never be handled goes to the dead-letter topic with the reason and is acknowledged,
so that it holds nothing up.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import structlog
from contracts.errors import MalformedEvent, MovieTasksError, PermanentError, RetryableError
from contracts.events import LARGEST_EVENT, CloudEvent, Event, TaskRequested, dead_letter, parse, read_cloud_event
from contracts.ports import Clock, Publisher
from contracts.topics import DEAD_LETTERS, Component, Topic
from contracts.tracing import Span, SpanKind, asked_in, within

from chassis.about import about_event
from chassis.tracing import NOWHERE, Tracing

log = structlog.get_logger(__name__)

Handler = Callable[[Any, CloudEvent], Awaitable[None]]
RawHandler = Callable[[bytes], Awaitable[None]]


class Answer(StrEnum):
    SUCCESS = "SUCCESS"
    RETRY = "RETRY"


@dataclass(frozen=True)
class Subscription:
    """What one service does with one topic: a handler per class of event, or one for whatever comes."""

    topic: Topic
    handlers: Mapping[type[Event], Handler] = field(default_factory=dict)
    raw: RawHandler | None = None
    after: Mapping[type[Event], Handler] = field(default_factory=dict)
    """Told once every service of this process has handled the event: only then may anybody rely on
    its having been heard. In memory nothing else proves that; a durable broker has it by then."""


@dataclass(frozen=True)
class Subscriber:
    """A subscription and the service it belongs to."""

    app: str
    subscription: Subscription


class Deliveries:
    """Fans the deliveries of one topic out to every service of this process that wants them, in order."""

    def __init__(
        self,
        topic: Topic,
        subscribers: Sequence[Subscriber],
        publisher: Publisher,
        clock: Clock,
        tracing: Tracing = NOWHERE,
    ) -> None:
        self.topic = topic
        self._subscribers = tuple(subscribers)
        self._publisher = publisher
        self._clock = clock
        self._tracing = tracing

    async def deliver(self, body: bytes) -> Answer:
        try:
            for subscriber in self._subscribers:
                if subscriber.subscription.raw is not None:
                    await self._attempt(subscriber.app, body, subscriber.subscription.raw(body))
            if any(one.subscription.handlers or one.subscription.after for one in self._subscribers):
                await self._deliver_event(body)
        except RetryableError as error:
            log.warning("a delivery could not be handled now", topic=self.topic.name, reason=error.detail)
            return self.again
        return Answer.SUCCESS

    @property
    def again(self) -> Answer:
        """What to answer when it cannot be handled now. What is broadcast is repeated by its sender or
        healed by the record: it is not worth blocking for."""
        return Answer.RETRY if self.topic.component is Component.EVENTS else Answer.SUCCESS

    async def _deliver_event(self, body: bytes) -> None:
        try:
            envelope, event = self._read(body)
        except MalformedEvent as error:
            await self._dead_letter(self._subscribers[0].app, error.detail, body)
            return
        with about_event(envelope, event):
            told = [(subscriber.app, subscriber.subscription.handlers) for subscriber in self._subscribers]
            told += [(subscriber.app, subscriber.subscription.after) for subscriber in self._subscribers]
            for app, handlers in told:
                handler = handlers.get(type(event))
                if handler is not None:
                    await self._attempt(app, body, self._handled(app, handler, event, envelope))

    def _handled(self, app: str, handler: Handler, event: Event, envelope: CloudEvent) -> Awaitable[None]:
        if self._tracing.on and isinstance(event, TaskRequested):
            return self._within_a_span(app, handler, event, envelope)
        return handler(event, envelope)

    async def _within_a_span(self, app: str, handler: Handler, event: Event, envelope: CloudEvent) -> None:
        """What asks for something begins a trace, or goes on with its sender's. Of what exists its record tells."""
        tracer, start = self._tracing.of(app), self._clock.now()
        asked = asked_in(envelope.traceparent, f"{envelope.source} {envelope.id}", tracer)
        context, error = asked.child("delivery", start.isoformat()), None
        try:
            with within(context):
                await handler(event, envelope)
        except MovieTasksError as problem:
            error = problem.code
            raise
        finally:
            tracer.tell(
                Span(
                    f"{self.topic.name} process",
                    context,
                    asked if asked.is_span else None,
                    start,
                    self._clock.now(),
                    SpanKind.CONSUMER,
                    {"messaging.destination.name": self.topic.name, "messaging.system": "dapr"},
                    error=error,
                )
            )

    def _read(self, body: bytes) -> tuple[CloudEvent, Event]:
        if len(body) > LARGEST_EVENT:
            raise MalformedEvent(f"{len(body)} bytes; an event holds at most {LARGEST_EVENT}")
        envelope = read_cloud_event(body)
        event = parse(envelope)
        if self.topic not in event.topics:
            raise MalformedEvent(f"{envelope.type} does not belong on {self.topic.name}")
        return envelope, event

    async def _attempt(self, app: str, body: bytes, handling: Awaitable[None]) -> None:
        try:
            await handling
        except RetryableError:
            raise
        except PermanentError as error:
            await self._dead_letter(app, f"{error.code}: {error.detail}", body)
        except Exception as error:
            # Trying again would meet the bug again. What is broadcast comes again by itself, often.
            log.exception("a delivery met a bug", topic=self.topic.name, app=app)
            if self.topic.component is Component.EVENTS and self.topic != DEAD_LETTERS:
                await self._dead_letter(app, f"bug: {error!r}", body)

    async def _dead_letter(self, app: str, reason: str, body: bytes) -> None:
        log.warning("an event is dead-lettered", topic=self.topic.name, app=app, reason=reason)
        await self._publisher.publish(dead_letter(app, self.topic.name, reason, body, self._clock.now()))


def by_topic(subscribers: Iterable[Subscriber]) -> dict[Topic, list[Subscriber]]:
    found: dict[Topic, list[Subscriber]] = {}
    for subscriber in subscribers:
        found.setdefault(subscriber.subscription.topic, []).append(subscriber)
    return found
