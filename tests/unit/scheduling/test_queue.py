"""The shared queue and ledger, as two replicas use them at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import permutations

import pytest
from chassis.database import Database
from contracts.budgets import Spending, month_of
from contracts.identifiers import task_id_for
from contracts.media import Medium
from contracts.tasks import (
    Advance,
    Assign,
    Complete,
    Move,
    Phase,
    Prioritise,
    Priority,
    ProcessingProgress,
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
from scheduling.ports import News, Queue

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
    alike = partial(company, catalog=TINY_MODELS)
    return [SqlQueue(database, HALF_LIFE, alike, lambda _news: None) for database in databases]


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
    await queues[1].look_again(life[0].id, life[7].seq, NOON)
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
            assert await charge(tx, f"task-{turn}", "p1", 1.5, NOON, HALF_LIFE)

    await asyncio.gather(*(once(turn) for turn in range(10)))
    async with databases[0].transaction() as tx:
        assert await charge(tx, "another", "p1", 1.0, NOON + HALF_LIFE, HALF_LIFE)
        assert not await charge(tx, "another", "p1", 1.0, NOON + HALF_LIFE, HALF_LIFE)
    used = (await ledger.all())["p1"]
    assert (used.seconds, used.at) == (8.5, NOON + HALF_LIFE)
    assert (await spent(ledger)).in_all == 16.0


async def spent(ledger: SqlLedger, at: datetime = NOON) -> Spending:
    return (await ledger.spent(["p1"], month_of(at)))["p1"]


async def test_what_was_spent_is_kept_by_month_and_not_forgotten_by_halves(
    queues: list[SqlQueue], ledger: SqlLedger
) -> None:
    last_of_january = datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)
    february = last_of_january + timedelta(microseconds=1)
    life = a_life(a_task())
    await hear(queues[0], life[3], last_of_january)
    await hear(queues[1], life[6], february)
    assert await spent(ledger, last_of_january) == Spending(month=month_of(NOON), in_month=10, in_all=30)
    assert await spent(ledger, february) == Spending(month=february, in_month=20, in_all=30)
    assert await spent(ledger, february + timedelta(days=40)) == Spending(
        month=datetime(2026, 3, 1, tzinfo=UTC), in_month=0, in_all=30
    )
    assert await ledger.charged() == ["p1"]


async def test_who_was_never_charged_has_spent_nothing(ledger: SqlLedger) -> None:
    assert await spent(ledger) == Spending(month=month_of(NOON))
    assert await ledger.charged() == []


async def test_what_is_heard_again_long_after_it_was_dropped_is_not_charged_again(
    queues: list[SqlQueue], ledger: SqlLedger
) -> None:
    life = a_life(a_task())
    failed = life[7].model_copy(update={"phase": Phase.FAILED})
    await hear(queues[0], failed)
    await queues[0].sweep(NOON + REMEMBERED)
    again = apply(failed, Resubmit(), after(86_400))
    assert await hear(queues[0], failed, after(86_000)), "a broker that was set back says it again"
    assert await hear(queues[1], again, after(86_400))
    assert (await spent(ledger)).in_all == 30
    running = apply(again, Assign("worker-1", after(86_415)), after(86_400))
    running = apply(running, Advance(3, Phase.GENERATING), after(86_400))
    await hear(queues[0], apply(running, RetryLater(3, a_problem(), after(86_410)), after(86_407)), after(86_407))
    assert (await spent(ledger)).in_all == 37


async def test_what_is_news_is_told_once_with_what_it_costs(databases: list[Database]) -> None:
    """Whichever replica hears of it."""
    told: list[News] = []
    alike = partial(company, catalog=TINY_MODELS)
    first, second = (SqlQueue(database, HALF_LIFE, alike, told.append) for database in databases)
    life = a_life(a_task())
    for number, state in enumerate((life[0], life[2], life[3], life[3], life[2], life[4], life[7], life[6])):
        for queue in (first, second):
            await hear(queue, state, after(number))
    assert [(news.task.phase, news.new_phase, news.charged_seconds) for news in told] == [
        (Phase.QUEUED, True, 0),
        (Phase.GENERATING, True, 0),
        (Phase.RETRY_WAIT, True, 10),
        (Phase.ASSIGNED, True, 0),
        (Phase.DONE, True, 20),
    ]


async def test_progress_is_news_but_no_new_phase(databases: list[Database]) -> None:
    told: list[News] = []
    queue = SqlQueue(databases[0], HALF_LIFE, partial(company, catalog=TINY_MODELS), told.append)
    running = a_life(a_task())[2]
    await hear(queue, running)
    progress = ProcessingProgress(step=1, total=4, fraction=0.25)
    await hear(queue, apply(running, Advance(1, Phase.GENERATING, progress), after(1)), after(1))
    assert [news.new_phase for news in told] == [True, False]


async def test_what_projects_have_on_workers_is_counted_over_all_media(queues: list[SqlQueue]) -> None:
    async def hold(project_id: str, medium: Medium, state: int) -> None:
        task = a_task(id=task_id_for(project_id, medium.value), project_id=project_id, medium=medium)
        await hear(queues[0], a_life(task)[state])

    await hold("p1", Medium.IMAGE, 1)
    await hold("p1", Medium.VIDEO, 2)
    await hold("p1", Medium.AUDIO, 3)
    await hold("p2", Medium.IMAGE, 2)
    found = await queues[1].held_of(["p1", "p3"])
    assert {(entry.project_id, entry.medium) for entry in found} == {("p1", Medium.IMAGE), ("p1", Medium.VIDEO)}


async def test_another_priority_counts_from_when_it_is_heard_and_the_wait_goes_on_counting(
    queues: list[SqlQueue],
) -> None:
    task = a_task()
    await hear(queues[0], task)
    await hear(queues[0], apply(task, Prioritise(Priority.HIGH), after(5)), after(5))
    [entry] = await queues[1].ready(task.medium, after(6), most_alike=5)
    assert (entry.rank, entry.since) == (Priority.HIGH.rank, task.created_at)
