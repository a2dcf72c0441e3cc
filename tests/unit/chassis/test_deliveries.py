"""From daprd's request to the services' handlers, and back to an answer."""

import json

import pytest
from chassis.deliveries import Answer, Deliveries, Subscriber, Subscription
from contracts.errors import DependencyUnavailable, IllegalTransition
from contracts.events import (
    LARGEST_EVENT,
    CancelRequested,
    CloudEvent,
    DeadLetter,
    TaskChanged,
    cancel_requested,
    parse,
    task_changed,
)
from contracts.testing import InMemoryBus, SettableClock
from contracts.testing.examples import NOON, a_task
from contracts.topics import DEAD_LETTERS, TASK_CONTROL, TASK_EVENTS, Topic

GOOD = task_changed(a_task(), "test").event.model_dump_json().encode()


class Service:
    """Notes what it is told, and does what the test wants of it."""

    def __init__(self, name: str, notes: list[str], error: Exception | None = None) -> None:
        self.name, self.notes, self.error = name, notes, error

    async def on_task_changed(self, _changed: TaskChanged, _envelope: CloudEvent) -> None:
        self.notes.append(self.name)
        if self.error:
            raise self.error

    async def after(self, _changed: TaskChanged, _envelope: CloudEvent) -> None:
        self.notes.append(f"{self.name} after")

    @property
    def subscriber(self) -> Subscriber:
        subscription = Subscription(TASK_EVENTS, {TaskChanged: self.on_task_changed}, after={TaskChanged: self.after})
        return Subscriber(self.name, subscription)


def deliveries(bus: InMemoryBus, *subscribers: Subscriber, topic: Topic = TASK_EVENTS) -> Deliveries:
    return Deliveries(topic, subscribers, bus, SettableClock())


def letters(bus: InMemoryBus) -> list[DeadLetter]:
    events = [parse(message.event) for message in bus.messages if message.topic == DEAD_LETTERS]
    return [event for event in events if isinstance(event, DeadLetter)]


async def test_every_service_is_told_and_only_then_anybody_told_that_all_were() -> None:
    notes: list[str] = []
    bus = InMemoryBus()
    all_told = deliveries(bus, Service("a", notes).subscriber, Service("b", notes).subscriber)
    assert await all_told.deliver(GOOD) is Answer.SUCCESS
    assert notes == ["a", "b", "a after", "b after"]


async def test_who_only_waits_for_the_others_is_told_too() -> None:
    notes: list[str] = []
    waiting = Subscription(TASK_EVENTS, after={TaskChanged: Service("a", notes).after})
    assert await deliveries(InMemoryBus(), Subscriber("a", waiting)).deliver(GOOD) is Answer.SUCCESS
    assert notes == ["a after"]


async def test_what_may_work_later_is_delivered_again_and_nobody_relies_on_it() -> None:
    notes: list[str] = []
    bus = InMemoryBus()
    first = Service("a", notes, DependencyUnavailable("the database is away")).subscriber
    assert await deliveries(bus, first, Service("b", notes).subscriber).deliver(GOOD) is Answer.RETRY
    assert not any("after" in note for note in notes)
    assert bus.messages == []


async def test_what_can_never_work_is_dead_lettered_and_the_others_are_told() -> None:
    notes: list[str] = []
    bus = InMemoryBus()
    refusing = Service("a", notes, IllegalTransition("not from there")).subscriber
    assert await deliveries(bus, refusing, Service("b", notes).subscriber).deliver(GOOD) is Answer.SUCCESS
    assert notes[:2] == ["a", "b"]
    [letter] = letters(bus)
    assert (letter.app, letter.topic, letter.reason) == ("a", "task-events", "illegal-transition: not from there")
    assert letter.event == GOOD.decode()


async def test_a_bug_is_dead_lettered_and_the_other_services_hear_the_event() -> None:
    told: list[str] = []
    bus = InMemoryBus()
    services = [Service("a", [], KeyError("bug")).subscriber, Service("b", told).subscriber]
    assert await deliveries(bus, *services).deliver(GOOD) is Answer.SUCCESS
    assert told == ["b", "b after"]
    letter = parse(bus.messages[0].event)
    assert isinstance(letter, DeadLetter)
    assert (letter.app, letter.reason) == ("a", "bug: KeyError('bug')")


async def test_what_was_broadcast_is_never_worth_waiting_for() -> None:
    async def fail(_cancel: CancelRequested, _envelope: CloudEvent) -> None:
        raise DependencyUnavailable("away")

    subscriber = Subscriber("a", Subscription(TASK_CONTROL, {CancelRequested: fail}))
    body = cancel_requested(CancelRequested(task_id=a_task().id, attempt=1), "test", NOON).event.model_dump_json()
    assert await deliveries(InMemoryBus(), subscriber, topic=TASK_CONTROL).deliver(body.encode()) is Answer.SUCCESS


def changed(**changes: object) -> bytes:
    return json.dumps({**json.loads(GOOD), **changes}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        changed(type="task.done.v2"),
        changed(type="worker.heartbeat.v1"),
        changed(specversion="0.3"),
        changed(id=""),
        changed(data="text"),
        changed(data={}),
        changed(data={"task": {"id": "../etc"}}),
        changed(subject="x" * LARGEST_EVENT),
    ],
)
async def test_what_is_off_the_schema_is_dead_lettered_unheard(body: bytes) -> None:
    notes: list[str] = []
    bus = InMemoryBus()
    assert await deliveries(bus, Service("a", notes).subscriber).deliver(body) is Answer.SUCCESS
    assert notes == []
    assert len(letters(bus)) == 1
    assert letters(bus)[0].reason


async def test_a_broker_that_cannot_take_a_dead_letter_keeps_the_event() -> None:
    class Away(InMemoryBus):
        async def publish(self, message: object) -> None:
            raise DependencyUnavailable("away")

    assert await deliveries(Away(), Service("a", []).subscriber).deliver(b"{") is Answer.RETRY


async def test_a_raw_subscriber_gets_the_body_as_it_is() -> None:
    seen: list[bytes] = []

    async def keep(body: bytes) -> None:
        seen.append(body)

    raw = Subscriber("a", Subscription(DEAD_LETTERS, raw=keep))
    assert await deliveries(InMemoryBus(), raw, topic=DEAD_LETTERS).deliver(b"anything") is Answer.SUCCESS
    assert seen == [b"anything"]
