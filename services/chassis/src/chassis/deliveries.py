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
from asgi_correlation_id import correlation_id
from contracts.errors import MalformedEvent, PermanentError, RetryableError
from contracts.events import LARGEST_EVENT, CloudEvent, Event, dead_letter, parse, read_cloud_event
from contracts.ports import Clock, Publisher
from contracts.topics import DEAD_LETTERS, Component, Topic

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

    def __init__(self, topic: Topic, subscribers: Sequence[Subscriber], publisher: Publisher, clock: Clock) -> None:
        self.topic = topic
        self._subscribers = tuple(subscribers)
        self._publisher = publisher
        self._clock = clock

    async def deliver(self, body: bytes) -> Answer:
        try:
            for subscriber in self._subscribers:
                if subscriber.subscription.raw is not None:
                    await self._attempt(subscriber.app, body, subscriber.subscription.raw(body))
            if any(subscriber.subscription.handlers for subscriber in self._subscribers):
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
        token = correlation_id.set(envelope.correlationid)
        try:
            told = [(subscriber.app, subscriber.subscription.handlers) for subscriber in self._subscribers]
            told += [(subscriber.app, subscriber.subscription.after) for subscriber in self._subscribers]
            for app, handlers in told:
                handler = handlers.get(type(event))
                if handler is not None:
                    await self._attempt(app, body, handler(event, envelope))
        finally:
            correlation_id.reset(token)

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
