"""Reminders as scheduling says them: exactly, until they are heard, and never of what has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest
from contracts.errors import DependencyUnavailable
from contracts.events import CloudEvent, Message, TaskReminder, parse, task_changed
from contracts.identifiers import task_id_for
from contracts.ports import Versioned
from contracts.tasks import Phase, Prioritise, Priority, Reminder, RequestCancel, Resubmit, Task, apply
from contracts.testing import InMemoryBus, InMemoryState
from contracts.testing.examples import NOON, a_task
from contracts.topics import REMINDERS
from scheduling.app import create
from scheduling.domain.reminding import ahead
from scheduling.handlers.reminding import AT_ONCE, HEARD_WITHIN

from tests.conftest import Serve, World
from tests.unit.scheduling.driving import Scheduling, settings_of

HOUR = timedelta(hours=1)
LONG_BEFORE = {"phase": Phase.SCHEDULED, "start_at": NOON + 9 * HOUR, "deadline": NOON + 9 * HOUR}


class Broker(InMemoryBus):
    away = False

    async def publish(self, message: Message) -> None:
        if self.away:
            raise DependencyUnavailable("the broker is away")
        await super().publish(message)


class Store(InMemoryState):
    away = False

    async def get(self, key: str) -> Versioned | None:
        if self.away:
            raise DependencyUnavailable("the state store is away")
        return await super().get(key)


class Reminded(Scheduling):
    async def plan(self, *moments: datetime, **changes: object) -> Task:
        return await self.accept(**LONG_BEFORE | {"reminders": [Reminder(at=moment) for moment in moments]} | changes)

    @property
    def said(self) -> list[CloudEvent]:
        return [message.event for message in self.world.bus.messages if message.topic is REMINDERS]

    async def come_back(self) -> None:
        """What was said is heard by everybody."""
        for message in [message for message in self.world.bus.messages if message.topic is REMINDERS]:
            assert await self.running.deliver(message) == "SUCCESS"

    @property
    def broker(self) -> Broker:
        assert isinstance(self.world.bus, Broker)
        return self.world.bus

    @property
    def store(self) -> Store:
        assert isinstance(self.world.state, Store)
        return self.world.state


@pytest.fixture
def world() -> World:
    return World(state=Store(), bus=Broker())


@pytest.fixture
def url(database_url: Callable[[str], str]) -> str:
    return database_url("scheduling")


@pytest.fixture
async def scheduling(world: World, serve: Serve, url: str) -> AsyncIterator[Reminded]:
    async with serve([create(settings_of(url), world.outside)]) as running:
        yield Reminded(running, world)


def read(event: CloudEvent) -> TaskReminder:
    found = parse(event)
    assert isinstance(found, TaskReminder)
    return found


async def test_is_said_at_its_moment_with_what_a_person_needs(scheduling: Reminded) -> None:
    reminders = [Reminder(before_due_seconds=1800, note="call the studio")]
    task = await scheduling.accept(
        **LONG_BEFORE, due_at=NOON + HOUR, reminders=reminders, title="Shot 1", client_ref="s1", tags=("film",)
    )
    await scheduling.pass_time(minutes=29, seconds=59)
    assert scheduling.said == []
    await scheduling.pass_time(seconds=1)
    [event] = scheduling.said
    assert read(event) == TaskReminder(
        project_id="p1", task_id=task.id, title="Shot 1", client_ref="s1", tags=("film",), status=task.status,
        phase=task.phase, at=NOON + HOUR / 2, due_at=NOON + HOUR, note="call the studio",
    )  # fmt: skip
    assert (event.correlationid, event.id) == (task.correlation_id, f"{task.id}:reminder:2026-01-01T12:30:00+00:00")


async def test_is_said_again_until_it_is_heard_and_then_never(scheduling: Reminded) -> None:
    await scheduling.plan(NOON + HOUR)
    await scheduling.pass_time(hours=1)
    assert len(scheduling.said) == 1
    await scheduling.pass_time(seconds=HEARD_WITHIN.total_seconds() - 1)
    assert len(scheduling.said) == 1
    await scheduling.pass_time(seconds=1)
    assert len(scheduling.said) == 2
    assert len({event.id for event in scheduling.said}) == 1
    await scheduling.come_back()
    await scheduling.pass_time(minutes=5)
    assert len(scheduling.said) == 2


async def test_each_is_said_at_its_own_moment(scheduling: Reminded) -> None:
    moments = [NOON + number * HOUR for number in (3, 1, 2)]
    await scheduling.plan(*moments)
    for number in (1, 2, 3):
        await scheduling.pass_time(hours=1)
        await scheduling.come_back()
        assert [read(event).at for event in scheduling.said] == sorted(moments)[:number]


async def test_what_was_said_is_not_said_again_when_its_task_is_announced_again(scheduling: Reminded) -> None:
    task = await scheduling.plan(NOON + HOUR)
    await scheduling.pass_time(hours=1)
    await scheduling.come_back()
    await scheduling.hear(task)
    await scheduling.hear(await scheduling.tasks.change(task.id, lambda _found: Prioritise(Priority.HIGH)))
    await scheduling.pass_time(minutes=5)
    assert len(scheduling.said) == 1


@pytest.mark.parametrize(("seconds", "late"), [(29, None), (30, None), (31, 31.0), (7200, 7200.0)])
async def test_one_that_is_said_late_is_marked(scheduling: Reminded, seconds: float, late: float | None) -> None:
    await scheduling.plan(NOON + HOUR)
    scheduling.world.clock.advance(hours=1, seconds=seconds)
    await scheduling.pass_time(seconds=0)
    assert [read(event).late_seconds for event in scheduling.said] == [late]


async def test_one_of_which_is_only_heard_after_its_moment_is_said_at_once(scheduling: Reminded) -> None:
    scheduling.world.clock.advance(hours=2)
    await scheduling.plan(NOON + HOUR)
    await scheduling.pass_time(seconds=0)
    assert [read(event).late_seconds for event in scheduling.said] == [3600]


async def test_nobody_is_reminded_of_what_has_ended(scheduling: Reminded) -> None:
    task = await scheduling.plan(NOON + HOUR)
    await scheduling.hear(await scheduling.tasks.change(task.id, lambda _found: RequestCancel()))
    await scheduling.hear(task)
    await scheduling.pass_time(hours=2)
    assert scheduling.said == []


async def test_nor_when_its_end_was_not_heard_of(scheduling: Reminded) -> None:
    task = await scheduling.plan(NOON + HOUR)
    await scheduling.tasks.change(task.id, lambda _found: RequestCancel())
    await scheduling.pass_time(hours=2)
    assert scheduling.said == []


async def test_a_lie_about_a_task_reminds_nobody(scheduling: Reminded) -> None:
    task = await scheduling.plan()
    claimed = task.model_copy(update={"reminders": (Reminder(at=NOON + HOUR),), "seq": 7})
    assert await scheduling.running.deliver(task_changed(claimed, "test")) == "SUCCESS"
    unknown = claimed.model_copy(update={"id": task_id_for("p1", "none")})
    assert await scheduling.running.deliver(task_changed(unknown, "test")) == "SUCCESS"
    await scheduling.pass_time(hours=2)
    assert scheduling.said == []


async def test_a_retried_task_is_reminded_of_what_then_lies_ahead(scheduling: Reminded) -> None:
    """What was said, and what came while it was over, is past."""
    task = await scheduling.plan(NOON + HOUR, NOON + 3 * HOUR, NOON + 5 * HOUR)
    await scheduling.pass_time(hours=1)
    await scheduling.come_back()
    await scheduling.hear(await scheduling.tasks.change(task.id, lambda _found: RequestCancel()))
    await scheduling.pass_time(hours=3)
    now = scheduling.world.clock.now()
    await scheduling.hear(await scheduling.tasks.change(task.id, lambda _found: Resubmit()))
    await scheduling.pass_time(hours=1)
    assert scheduling.world.clock.now() == now + HOUR
    assert [read(event).at for event in scheduling.said] == [NOON + HOUR, NOON + 5 * HOUR]


async def test_what_the_broker_does_not_take_is_said_when_it_is_back(scheduling: Reminded) -> None:
    await scheduling.plan(NOON + HOUR)
    scheduling.broker.away = True
    await scheduling.pass_time(hours=1)
    scheduling.broker.away = False
    await scheduling.pass_time(seconds=5)
    assert scheduling.said == []
    await scheduling.pass_time(seconds=5)
    assert [read(event).late_seconds for event in scheduling.said] == [None]


async def test_nothing_is_said_without_the_record_and_everything_once_it_is_back(scheduling: Reminded) -> None:
    await scheduling.plan(NOON + HOUR)
    scheduling.store.away = True
    await scheduling.pass_time(hours=1)
    assert scheduling.said == []
    scheduling.store.away = False
    await scheduling.pass_time(minutes=1)
    assert [read(event).late_seconds for event in scheduling.said] == [60]


async def test_more_than_are_taken_at_once_are_said_in_one_go(scheduling: Reminded) -> None:
    number = 2 * AT_ONCE + 1
    for one in range(number):
        task = a_task(**LONG_BEFORE, id=task_id_for("p1", str(one)), reminders=[Reminder(at=NOON + HOUR)])
        await scheduling.tasks.create(task)
        assert await scheduling.running.deliver(task_changed(task, "test")) == "SUCCESS"
    await scheduling.pass_time(hours=1)
    assert len({event.id for event in scheduling.said}) == len(scheduling.said) == number


async def test_a_restart_over_the_moment_costs_nothing_but_time(world: World, serve: Serve, url: str) -> None:
    async with serve([create(settings_of(url), world.outside)]) as running:
        await Reminded(running, world).plan(NOON + HOUR)
    world.jobs.due.clear()
    world.clock.advance(hours=1, minutes=2)
    async with serve([create(settings_of(url), world.outside)]) as running:
        again = Reminded(running, world)
        await again.pass_time(seconds=0)
        assert [read(event).late_seconds for event in again.said] == [120]


async def test_two_replicas_that_ring_at_once_say_it_once(world: World, serve: Serve, url: str) -> None:
    async with (
        serve([create(settings_of(url, "a"), world.outside)]) as one,
        serve([create(settings_of(url, "b"), world.outside)]) as other,
    ):
        first = Reminded(one, world)
        await first.plan(NOON + HOUR)
        world.clock.advance(hours=1)
        rung = await asyncio.gather(*(replica.ring("scheduling-reminders-a") for replica in (one, other)))
        assert rung == [204, 204]
        assert len(first.said) == 1


async def test_one_replica_says_what_another_was_told_of(world: World, serve: Serve, url: str) -> None:
    async with serve([create(settings_of(url, "other"), world.outside)]) as other:
        async with serve([create(settings_of(url, "gone"), world.outside)]) as gone:
            await Reminded(gone, world).plan(NOON + HOUR)
        world.clock.advance(hours=1)
        assert await other.ring("scheduling-reminders-gone") == 204
        assert len(Reminded(other, world).said) == 1


def test_a_saved_record_names_what_lay_ahead_of_it() -> None:
    task = a_task(reminders=[Reminder(at=NOON + HOUR), Reminder(at=NOON + 2 * HOUR)], phase=Phase.QUEUED)
    assert ahead(task) == [NOON + HOUR, NOON + 2 * HOUR]
    assert ahead(apply(task, Prioritise(Priority.HIGH), NOON + HOUR)) == [NOON + 2 * HOUR]
