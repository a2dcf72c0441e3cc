import asyncio

import pytest
from contracts.errors import NotFound
from contracts.events import CloudEvent, FeedEntry, FeedGrew, TaskProgressed
from contracts.records import TaskRecords
from contracts.tasks import Phase, ProcessingProgress
from contracts.testing import InMemoryState, SettableClock
from contracts.testing.examples import NOON, a_task
from notification.domain import Happening
from notification.handlers.watching import BACKLOG, REPLAY, Item, Watching

ENVELOPE = CloudEvent(id="x", source="/test", type="feed.grew.v1", data={})


class FeedOf:
    """A feed that holds what the test puts in it."""

    def __init__(self, *positions: int) -> None:
        self.entries = [(position, happening(position)) for position in positions]
        self.asked = asyncio.Event()

    async def add(self, happening: Happening) -> int | None:
        raise AssertionError("not asked for here")

    async def after(
        self, position: int, project_id: str, task_id: str | None, limit: int
    ) -> list[tuple[int, Happening]]:
        self.asked.set()
        await asyncio.sleep(0)
        return [entry for entry in self.entries if entry[0] > position][:limit]

    async def latest(self, project_id: str, task_id: str) -> tuple[int, Happening] | None:
        return self.entries[-1] if self.entries else None

    async def prune(self, before: object) -> None: ...


def happening(position: int) -> Happening:
    return Happening(f"e{position}", "task.done.v1", NOON, "p1", a_task().id, {"n": position})


def grown(position: int, project_id: str = "p1") -> FeedGrew:
    entry = FeedEntry(
        position=position, project_id=project_id, task_id=a_task().id, type="task.done.v1", data={"n": position}
    )
    return FeedGrew(entries=(entry,))


def watching(feed: FeedOf) -> Watching:
    return Watching(TaskRecords(InMemoryState(), SettableClock()), feed)


async def take(items: object, count: int) -> list[Item]:
    found = []
    async for item in items:  # type: ignore[attr-defined]
        found.append(item)
        if len(found) == count:
            break
    return found


async def test_what_comes_while_the_past_is_read_is_told_once_and_in_order() -> None:
    feed = FeedOf(1, 2, 3)
    live = watching(feed)
    taking = asyncio.create_task(take(live.watch("p1", None, 1), 4))
    await feed.asked.wait()
    for position in (2, 3, 4, 5):
        await live.on_feed_grew(grown(position), ENVELOPE)
    assert [item.position for item in await taking] == [2, 3, 4, 5]


async def test_a_tasks_watcher_begins_with_what_happened_last() -> None:
    assert [item.position for item in await take(watching(FeedOf(7)).watch("p1", a_task().id, None), 1)] == [7]


async def test_other_projects_are_not_heard() -> None:
    live = watching(FeedOf())
    taking = asyncio.create_task(take(live.watch("p1", None, 0), 1))
    await asyncio.sleep(0.01)
    await live.on_feed_grew(grown(1, "p2"), ENVELOPE)
    await live.on_feed_grew(grown(2), ENVELOPE)
    assert [item.position for item in await taking] == [2]


async def test_who_falls_behind_is_dropped_and_holds_nobody_up() -> None:
    live = watching(FeedOf())
    slow, quick = live.watch("p1", None, 0), live.watch("p1", None, 0)
    first = [asyncio.ensure_future(anext(slow)), asyncio.ensure_future(anext(quick))]
    await asyncio.sleep(0.01)
    seen = 0
    for position in range(1, BACKLOG + 10):
        await live.on_feed_grew(grown(position), ENVELOPE)
        if position > 1:
            await anext(quick)
            seen += 1
        else:
            await asyncio.gather(*first)
    assert seen == BACKLOG + 8
    assert len([item async for item in slow]) < BACKLOG


async def test_another_projects_task_is_not_found() -> None:
    state = InMemoryState()
    await TaskRecords(state, SettableClock()).create(a_task(project_id="p2"))
    live = Watching(TaskRecords(state, SettableClock()), FeedOf())
    for task_id in (a_task(project_id="p2").id, a_task().id):
        with pytest.raises(NotFound):
            await live.check("p1", task_id)


async def test_whoever_missed_more_than_is_read_at_a_time_is_told_all_of_it() -> None:
    feed = FeedOf(*range(1, 2 * REPLAY + 51))
    told = await take(watching(feed).watch("p1", None, 0), 2 * REPLAY + 50)
    assert [item.position for item in told] == list(range(1, 2 * REPLAY + 51))


async def test_progress_is_told_and_moves_no_position() -> None:
    live = watching(FeedOf())
    items = live.watch("p1", None, 0)
    progressed = TaskProgressed(
        task_id=a_task().id,
        project_id="p1",
        attempt=1,
        phase=Phase.GENERATING,
        progress=ProcessingProgress(step=1, total=2, fraction=0.5),
    )
    waiting = asyncio.create_task(take(items, 2))
    await asyncio.sleep(0.01)
    await live.on_progress(progressed, ENVELOPE)
    await live.on_feed_grew(grown(1), ENVELOPE)
    told = await waiting
    assert [(item.position, item.task_id) for item in told] == [(None, a_task().id), (1, a_task().id)]
    assert told[0].data["progress"]["fraction"] == 0.5
