"""The shared table of reminders, as two replicas use it at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from chassis.database import Database
from contracts.testing.examples import NOON
from scheduling.adapters.reminders import SqlReminders
from scheduling.adapters.tables import Table
from scheduling.ports import DueReminder, Reminders

SOON, LATER = NOON + timedelta(seconds=1), NOON + timedelta(seconds=2, microseconds=345)
UNTIL = NOON + timedelta(minutes=1)


@pytest.fixture
async def replicas(database_url: Callable[[str], str]) -> AsyncIterator[tuple[Reminders, Reminders]]:
    async with AsyncExitStack() as stack:
        databases = [Database(database_url("scheduling"), Table.metadata) for _ in range(2)]
        for database in databases:
            await stack.enter_async_context(database.opened())
        yield SqlReminders(databases[0]), SqlReminders(databases[1])


async def test_what_is_due_is_taken_once_and_due_again_if_its_taker_dies(
    replicas: tuple[Reminders, Reminders],
) -> None:
    one, other = replicas
    await one.keep("t1", [SOON, LATER])
    assert await other.next_due() == SOON
    assert await other.take(SOON, UNTIL, 10) == [DueReminder("t1", SOON)]
    assert await one.take(SOON, UNTIL, 10) == []
    assert await one.next_due() == LATER
    again = await one.take(UNTIL, UNTIL + timedelta(minutes=1), 10)
    assert set(again) == {DueReminder("t1", LATER), DueReminder("t1", SOON)}


async def test_the_longest_due_are_taken_first(replicas: tuple[Reminders, Reminders]) -> None:
    await replicas[0].keep("t1", [LATER])
    await replicas[0].keep("t2", [SOON])
    assert await replicas[1].take(LATER, UNTIL, 1) == [DueReminder("t2", SOON)]


async def test_two_who_take_at_once_share(replicas: tuple[Reminders, Reminders]) -> None:
    for number in range(30):
        await replicas[0].keep(f"t{number}", [SOON])
    taken = await asyncio.gather(*(replica.take(SOON, UNTIL, 20) for replica in replicas for _ in range(2)))
    everything = [reminder.task_id for some in taken for reminder in some]
    assert sorted(everything) == sorted(f"t{number}" for number in range(30))


async def test_what_is_settled_stays_so_however_often_it_is_kept(replicas: tuple[Reminders, Reminders]) -> None:
    one, other = replicas
    await one.keep("t1", [SOON, LATER])
    await other.settle(DueReminder("t1", SOON))
    await one.keep("t1", [SOON, LATER])
    assert await one.take(LATER, UNTIL, 10) == [DueReminder("t1", LATER)]


async def test_what_is_dropped_or_forgotten_may_be_kept_again(replicas: tuple[Reminders, Reminders]) -> None:
    one, _ = replicas
    await one.keep("t1", [SOON, LATER])
    await one.keep("t2", [SOON])
    await one.drop(DueReminder("t1", SOON))
    assert await one.take(SOON, UNTIL, 10) == [DueReminder("t2", SOON)]
    await one.forget("t1")
    assert await one.next_due() == UNTIL
    await one.keep("t1", [SOON])
    assert await one.next_due() == SOON
