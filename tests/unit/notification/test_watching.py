import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from contracts.errors import DependencyUnavailable, LimitReached, NotFound
from contracts.events import CloudEvent, FeedGrew, TaskProgressed
from contracts.records import TaskRecords
from contracts.tasks import Phase, ProcessingProgress
from contracts.testing import InMemoryState, SettableClock
from contracts.testing.examples import NOON, a_task
from notification.domain.happenings import Happening
from notification.domain.live import Scope
from notification.handlers.watchers import BACKLOG, Item, Watcher
from notification.handlers.watching import OVERLAP, REPLAY, Watching

from tests.conftest import until

P1 = Scope("p1")
MOST = 100
ENVELOPE = CloudEvent(id="x", source="/test", type="feed.grew.v1", data={})


class FeedOf:
    """A feed that holds what the test puts in it."""

    def __init__(self, *positions: int) -> None:
        self.entries: list[tuple[int, Happening]] = []
        self.grow(*positions)
        self.asked = asyncio.Event()
        self.away = False
        self.looks = 0
        self.latest_asked = 0

    def grow(self, *positions: int, project_id: str = "p1") -> None:
        self.entries += [(position, happening(position, project_id)) for position in positions]

    async def add(self, happening: Happening) -> int | None:
        raise AssertionError("not asked for here")

    async def newest(self) -> int:
        await self._answer()
        return self.entries[-1][0] if self.entries else 0

    async def since(self, position: int, limit: int) -> list[tuple[int, Happening]]:
        self.looks += 1
        await self._answer()
        return [entry for entry in self.entries if entry[0] > position][:limit]

    async def oldest(self) -> int:
        return self.entries[0][0] if self.entries else 1

    async def after(self, position: int, scope: Scope, limit: int) -> list[tuple[int, Happening]]:
        self.asked.set()
        await self._answer()
        found = [entry for entry in self.entries if entry[0] > position and entry[1].project_id == scope.project_id]
        return found[:limit]

    async def latest(self, project_id: str, task_id: str) -> tuple[int, Happening] | None:
        self.latest_asked += 1
        await self._answer()
        return self.entries[-1] if self.entries else None

    async def prune(self, before: object) -> None: ...

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise DependencyUnavailable("the database is away")


def happening(position: int, project_id: str) -> Happening:
    return Happening(f"e{position}", "task.done.v1", NOON, project_id, a_task().id, {"n": position})


@asynccontextmanager
async def watching(feed: FeedOf) -> AsyncIterator[Watching]:
    live = Watching(TaskRecords(InMemoryState(), SettableClock()), feed, MOST, lambda _progressed: None)
    telling = asyncio.create_task(live.keep_telling())
    try:
        yield live
    finally:
        telling.cancel()


async def take(items: AsyncIterator[Item], count: int) -> list[Item]:
    found = []
    async with asyncio.timeout(30):
        async for item in items:
            found.append(item)
            if len(found) == count:
                break
    return found


async def joined(live: Watching, number: int = 1) -> None:
    await until(lambda: len(live._watchers) == number and live._told is not None)


async def test_what_comes_while_the_past_is_read_is_told_once_and_in_order() -> None:
    feed = FeedOf(1, 2, 3)
    async with watching(feed) as live:
        taking = asyncio.create_task(take(live.watch(P1, 1), 4))
        await feed.asked.wait()
        feed.grow(4, 5)
        for position in (2, 4, 5):
            await live.on_feed_grew(FeedGrew(position=position), ENVELOPE)
        assert [item.position for item in await taking] == [2, 3, 4, 5]


async def test_what_another_replica_wrote_is_told_in_the_feeds_order_whatever_the_order_of_hints() -> None:
    feed = FeedOf(1)
    async with watching(feed) as live:
        taking = asyncio.create_task(take(live.watch(P1, None), 3))
        await joined(live)
        feed.grow(2, 3, 5)
        for position in (5, 3, 2):
            await live.on_feed_grew(FeedGrew(position=position), ENVELOPE)
        assert [item.position for item in await taking] == [2, 3, 5]


async def test_a_hint_that_is_lost_only_costs_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notification.handlers.watching.LOOK_EVERY_SECONDS", 0.01)
    feed = FeedOf()
    async with watching(feed) as live:
        taking = asyncio.create_task(take(live.watch(P1, None), 1))
        await joined(live)
        feed.grow(1)
        assert [item.position for item in await taking] == [1]


async def test_the_feed_is_left_alone_while_nobody_watches_and_when_a_hint_says_nothing_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed = FeedOf(1, 2)
    async with watching(feed) as live:
        await live.on_feed_grew(FeedGrew(position=2), ENVELOPE)
        await asyncio.sleep(0.01)
        assert feed.looks == 0
        waiting = asyncio.create_task(take(live.watch(P1, None), 1))
        await joined(live)
        await until(lambda: feed.looks == 1)
        for position in (1, 2):
            await live.on_feed_grew(FeedGrew(position=position), ENVELOPE)
        await asyncio.sleep(0.01)
        assert feed.looks == 1
        waiting.cancel()


async def test_many_hints_are_one_look() -> None:
    feed = FeedOf()
    async with watching(feed) as live:
        taking = asyncio.create_task(take(live.watch(P1, None), 100))
        await joined(live)
        await until(lambda: feed.looks == 1)
        feed.grow(*range(1, 101))
        for position in range(1, 101):
            await live.on_feed_grew(FeedGrew(position=position), ENVELOPE)
        assert len(await taking) == 100
        assert feed.looks <= 3


async def test_a_feed_that_is_away_is_read_on_once_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notification.handlers.watching.PAUSE_SECONDS", 0.001)
    feed = FeedOf()
    async with watching(feed) as live:
        taking = asyncio.create_task(take(live.watch(P1, None), 1))
        await joined(live)
        feed.grow(1)
        feed.away = True
        live.look(1)
        await until(lambda: feed.looks > 2)
        feed.away = False
        assert [item.position for item in await taking] == [1]


async def test_while_the_feed_is_away_watchers_are_told_to_come_back() -> None:
    feed = FeedOf()
    feed.away = True
    async with watching(feed) as live:
        with pytest.raises(DependencyUnavailable):
            await live.check(P1)
        assert [item async for item in live.watch(P1, 0)] == []
        assert not live._watchers


async def test_a_tasks_watcher_begins_with_what_happened_last() -> None:
    async with watching(FeedOf(7)) as live:
        assert [item.position for item in await take(live.watch(Scope("p1", a_task().id), None), 1)] == [7]


async def test_other_projects_are_not_heard() -> None:
    feed = FeedOf()
    async with watching(feed) as live:
        taking = asyncio.create_task(take(live.watch(P1, 0), 1))
        await joined(live)
        feed.grow(1, project_id="p2")
        feed.grow(2)
        live.look(2)
        assert [item.position for item in await taking] == [2]


async def test_who_falls_behind_is_dropped_and_holds_nobody_up() -> None:
    feed = FeedOf()
    async with watching(feed) as live:
        slow, quick = live.watch(P1, 0), live.watch(P1, 0)
        first = [asyncio.ensure_future(anext(slow)), asyncio.ensure_future(anext(quick))]
        await joined(live, 2)
        seen = 0
        for position in range(1, BACKLOG + 10):
            feed.grow(position)
            live.look(position)
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
    live = Watching(TaskRecords(state, SettableClock()), FeedOf(), MOST, lambda _progressed: None)
    for task_id in (a_task(project_id="p2").id, a_task().id):
        with pytest.raises(NotFound):
            await live.check(Scope("p1", task_id))


async def test_whoever_missed_more_than_is_read_at_a_time_is_told_all_of_it() -> None:
    async with watching(FeedOf(*range(1, 2 * REPLAY + 51))) as live:
        told = await take(live.watch(P1, 0), 2 * REPLAY + 50)
    assert [item.position for item in told] == list(range(1, 2 * REPLAY + 51))


async def test_progress_is_told_and_moves_no_position() -> None:
    feed = FeedOf()
    progressed = TaskProgressed(
        task_id=a_task().id,
        project_id="p1",
        attempt=1,
        phase=Phase.GENERATING,
        progress=ProcessingProgress(step=1, total=2, fraction=0.5),
    )
    async with watching(feed) as live:
        waiting = asyncio.create_task(take(live.watch(P1, 0), 2))
        await joined(live)
        await live.on_progress(progressed, ENVELOPE)
        feed.grow(1)
        live.look(1)
        told = await waiting
    assert [(item.position, item.task_id) for item in told] == [(None, a_task().id), (1, a_task().id)]
    assert told[0].data["progress"]["fraction"] == 0.5


def progress_of(task_id: str) -> TaskProgressed:
    progress = ProcessingProgress(step=1, total=2, fraction=0.5)
    return TaskProgressed(task_id=task_id, project_id="p1", attempt=1, phase=Phase.GENERATING, progress=progress)


async def test_a_tags_watcher_hears_the_progress_of_its_tasks() -> None:
    feed = FeedOf()
    feed.entries.append((1, Happening("e1", "task.processing.v1", NOON, "p1", a_task().id, {"tags": ["hero"]})))
    async with watching(feed) as live:
        heroes = asyncio.create_task(take(live.watch(Scope("p1", tag="hero"), None), 2))
        others = asyncio.create_task(take(live.watch(Scope("p1", tag="other"), None), 1))
        everybody = asyncio.create_task(take(live.watch(P1, None), 2))
        await joined(live, 3)
        for _ in range(2):
            await live.on_progress(progress_of(a_task().id), ENVELOPE)
        assert [item.task_id for item in await heroes] == [item.task_id for item in await everybody]
        assert feed.latest_asked == 1, "a task's tags never change"
        assert not others.done()
        others.cancel()


async def test_progress_is_told_although_the_feed_cannot_be_asked_for_tags() -> None:
    feed = FeedOf()
    async with watching(feed) as live:
        by_tag = asyncio.create_task(take(live.watch(Scope("p1", tag="hero"), None), 1))
        everybody = asyncio.create_task(take(live.watch(P1, None), 1))
        await joined(live, 2)
        feed.away = True
        await live.on_progress(progress_of(a_task().id), ENVELOPE)
        assert [item.task_id for item in await everybody] == [a_task().id]
        by_tag.cancel()


async def test_who_must_reload_is_told_a_little_of_before() -> None:
    """What it loads may be some moments behind the feed."""
    feed = FeedOf(*range(5_000, 9_000))
    async with watching(feed) as live:
        reset, first = await take(live.watch(P1, 17), 2)
        assert (reset.type, reset.data) == ("feed.reset.v1", {"reason": "forgotten"})
        assert (reset.position, first.position) == (8_999 - OVERLAP, 9_000 - OVERLAP)


async def test_places_are_counted_by_project_and_given_back() -> None:
    live = Watching(TaskRecords(InMemoryState(), SettableClock()), FeedOf(), 2, lambda _progressed: None)
    with live.place("p1"), live.place("p2"):
        with live.place("p1"), pytest.raises(LimitReached) as caught, live.place("p1"):
            pass
        assert caught.value.retry_after
        with live.place("p1"):
            pass
    assert not live._places


async def test_what_waited_for_a_dropped_watcher_is_let_go() -> None:
    watcher = Watcher(P1)
    for position in range(2 * BACKLOG):
        watcher.offer(Item.of(position, happening(position, "p1")))
    assert watcher._items.empty()
    assert [item async for item in watcher.items()] == []
