"""The shared queue and ledger, as two replicas use them at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from itertools import permutations

import pytest
from chassis.database import Database
from contracts.identifiers import task_id_for
from contracts.tasks import (
    Advance,
    Assign,
    Complete,
    Move,
    Phase,
    Prioritise,
    Priority,
    Produce,
    Resubmit,
    RetryLater,
    Task,
    apply,
)
from contracts.testing.examples import NOON, a_problem, a_task, media_result, produced_media
from scheduling.adapters.ledger import SqlLedger, charge
from scheduling.adapters.queue import SqlQueue
from scheduling.adapters.tables import Table
from scheduling.domain.company import company
from scheduling.domain.watching import REMEMBERED
from scheduling.ports import Queue

from tests.conftest import TINY_MODELS

HALF_LIFE = timedelta(minutes=30)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_life(task: Task) -> list[Task]:
    """Every state of a task that runs for 10 s in vain and for 20 s to its end."""
    moves: list[tuple[float, Move]] = [
        (0, Assign("worker-1", after(15))),
        (0, Advance(1, Phase.GENERATING)),
        (10, RetryLater(1, a_problem(), after(12))),
        (12, Assign("worker-2", after(27))),
        (12, Advance(2, Phase.GENERATING)),
        (32, Produce(2, produced_media(task), after(32))),
        (33, Complete(2, media_result(task))),
    ]
    states = [task]
    for seconds, move in moves:
        states.append(apply(states[-1], move, after(seconds)))
    return states


@pytest.fixture
async def databases(database_url: Callable[[str], str]) -> AsyncIterator[list[Database]]:
    databases = [Database(database_url("queue"), Table.metadata) for _replica in range(2)]
    async with AsyncExitStack() as stack:
        for database in databases:
            await stack.enter_async_context(database.opened())
        yield databases


@pytest.fixture
def queues(databases: list[Database]) -> list[SqlQueue]:
    return [SqlQueue(database, HALF_LIFE, partial(company, catalog=TINY_MODELS)) for database in databases]


@pytest.fixture
def ledger(databases: list[Database]) -> SqlLedger:
    return SqlLedger(databases[0])


async def hear(queue: Queue, task: Task, now: datetime = NOON) -> bool:
    news = await queue.hear(task, now, now + timedelta(minutes=1))
    if task.phase.terminal:
        await queue.forget(task.id, task.seq, now)
    return news


async def test_a_second_is_charged_once_in_whatever_order_two_replicas_hear_of_it(
    queues: list[SqlQueue], ledger: SqlLedger
) -> None:
    for number, order in enumerate(permutations((2, 3, 5, 6, 7))):
        project = f"p{number}"
        life = a_life(a_task(id=a_task(project_id=project).id, project_id=project))
        newest = 0
        for turn, state in enumerate(order):
            assert await hear(queues[turn % 2], life[state]) == (state > newest)
            newest = max(newest, state)
        assert (await ledger.all())[project].seconds == 30
    assert await queues[0].next_due() is None


async def test_a_second_is_charged_once_when_all_is_heard_at_once(queues: list[SqlQueue], ledger: SqlLedger) -> None:
    """Several tasks of one project, everything about them heard by both replicas at the same time."""
    lives = [a_life(a_task(id=task_id_for("p1", str(number)))) for number in range(5)]
    await asyncio.gather(*(hear(queue, life[state]) for life in lives for state in (6, 3, 7, 2, 5) for queue in queues))
    assert (await ledger.all())["p1"].seconds == 30 * len(lives)


async def test_what_shared_a_device_is_charged_for_its_part(queues: list[SqlQueue], ledger: SqlLedger) -> None:
    task = apply(a_task(), Assign("worker-1", after(15)), NOON)
    task = apply(task, Advance(1, Phase.GENERATING, together=4), NOON)
    await hear(queues[0], apply(task, RetryLater(1, a_problem(), after(12)), after(10)))
    assert (await ledger.all())["p1"].seconds == 2.5


async def test_what_is_heard_twice_is_news_once(queues: list[SqlQueue]) -> None:
    task = a_task()
    assert sorted(await asyncio.gather(*(hear(queue, task) for queue in queues))) == [False, True]


async def test_what_a_record_costs_that_was_read_rather_than_heard_is_charged_too(
    queues: list[SqlQueue], ledger: SqlLedger
) -> None:
    life = a_life(a_task())
    await hear(queues[0], life[0])
    await queues[0].correct(life[3], life[0].seq, NOON, NOON)
    assert (await ledger.all())["p1"].seconds == 10
    await hear(queues[1], life[6])
    assert (await ledger.all())["p1"].seconds == 30


async def test_a_correction_does_not_undo_what_was_heard_since_it_was_decided(queues: list[SqlQueue]) -> None:
    life = a_life(a_task())
    await hear(queues[0], life[0])
    await hear(queues[1], life[2])
    await queues[0].correct(life[1], life[0].seq, NOON, NOON)
    [held] = await queues[0].held(life[0].medium)
    assert held.phase is Phase.GENERATING


async def test_a_correction_undoes_a_lie(queues: list[SqlQueue]) -> None:
    life = a_life(a_task())
    lie = life[0].model_copy(update={"seq": 999})
    await hear(queues[0], lie)
    await queues[0].correct(life[2], lie.seq, NOON, NOON)
    [held] = await queues[0].held(life[0].medium)
    assert (held.phase, held.seq) == (Phase.GENERATING, life[2].seq)


async def test_what_was_let_go_of_is_not_looked_at_again_and_is_dropped_in_the_end(queues: list[SqlQueue]) -> None:
    life = a_life(a_task())
    await hear(queues[0], life[7])
    await queues[1].look_again(life[0].id, NOON)
    await queues[1].correct(life[7], life[7].seq, NOON, NOON)
    assert await queues[0].next_due() is None
    assert not await hear(queues[1], life[6])
    await queues[0].sweep(NOON + REMEMBERED)
    assert await hear(queues[1], life[7]), "nothing is known of it any more"


async def test_what_comes_back_to_life_is_news(queues: list[SqlQueue]) -> None:
    life = a_life(a_task())
    failed = life[7].model_copy(update={"phase": Phase.FAILED})
    await hear(queues[0], failed)
    again = apply(failed, Resubmit(), after(60))
    assert await hear(queues[1], again)
    await queues[0].forget(failed.id, failed.seq, NOON)
    assert await queues[0].next_due() is not None


async def test_two_replicas_charging_a_project_lose_nothing(databases: list[Database], ledger: SqlLedger) -> None:
    async def once(turn: int) -> None:
        async with databases[turn % 2].transaction() as tx:
            await charge(tx, "p1", 1.5, NOON, HALF_LIFE)

    await asyncio.gather(*(once(turn) for turn in range(10)))
    async with databases[0].transaction() as tx:
        await charge(tx, "p1", 1.0, NOON + HALF_LIFE, HALF_LIFE)
    used = (await ledger.all())["p1"]
    assert (used.seconds, used.at) == (8.5, NOON + HALF_LIFE)


async def test_another_priority_counts_from_when_it_is_heard_and_the_wait_goes_on_counting(
    queues: list[SqlQueue],
) -> None:
    task = a_task()
    await hear(queues[0], task)
    await hear(queues[0], apply(task, Prioritise(Priority.HIGH), after(5)), after(5))
    [entry] = await queues[1].ready(task.medium, after(6), most_alike=5)
    assert (entry.rank, entry.since) == (Priority.HIGH.rank, task.created_at)
