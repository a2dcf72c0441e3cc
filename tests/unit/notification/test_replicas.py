"""Two replicas of notification over one database, one state store and one bus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from chassis.background import background
from chassis.database import Database
from contracts.events import CloudEvent, FeedGrew
from contracts.records import TaskRecords
from contracts.testing import InMemoryState, SettableClock
from contracts.testing.examples import NOON
from notification.adapters.feed import SqlFeed
from notification.adapters.tables import Table
from notification.domain.happenings import Happening
from notification.domain.live import Scope
from notification.handlers.watching import Watching

Urls = Callable[[str], str]
ENVELOPE = CloudEvent(id="x", source="/test", type="feed.grew.v1", data={})


def happening(number: int) -> Happening:
    return Happening(f"event-{number}", "task.done.v1", NOON, f"p{number % 2}", None, {"number": number})


@asynccontextmanager
async def replica(url: str) -> AsyncIterator[tuple[Database, SqlFeed, Watching]]:
    database = Database(url, Table.metadata)
    feed = SqlFeed(database)
    watching = Watching(TaskRecords(InMemoryState(), SettableClock()), feed, 100, lambda _progressed: None)
    async with database.opened(), background(watching.keep_telling()):
        yield database, feed, watching


async def test_positions_become_visible_in_their_order(database_url: Urls) -> None:
    """Whoever reads on from what was read misses nothing, however many write at once."""
    url, number = database_url("notification"), 200
    async with replica(url) as (_, first, _), replica(url) as (_, second, _), replica(url) as (_, reader, _):
        read: list[int] = []

        async def read_on() -> None:
            while len(read) < number:
                found = await reader.since(read[-1] if read else 0, 7)
                read.extend(position for position, _ in found)
                await asyncio.sleep(0)

        async def write(feed: SqlFeed, numbers: range) -> None:
            for each in numbers:
                await feed.add(happening(each))
                await asyncio.sleep(0)

        writing = [
            write(feed, range(start, number, 4)) for start, feed in enumerate((first, second, first, second), start=0)
        ]
        async with asyncio.timeout(60):
            await asyncio.gather(read_on(), *writing)
        assert read == sorted(read)
        assert await reader.newest() == read[-1]


async def test_what_both_hear_is_in_the_feed_once(database_url: Urls) -> None:
    url = database_url("notification")
    async with replica(url) as (_, first, _), replica(url) as (_, second, _):
        added = await asyncio.gather(*(feed.add(happening(7)) for feed in (first, second) for _ in range(5)))
        assert [position for position in added if position is not None] == [1]
        assert len(await first.since(0, 10)) == 1


async def test_positions_go_on_after_everything_was_forgotten(database_url: Urls) -> None:
    async with replica(database_url("notification")) as (_, feed, _):
        assert await feed.add(happening(1)) == 1
        await feed.prune(NOON.replace(year=2100))
        assert await feed.add(happening(2)) == 2


async def test_by_tag_without_a_gap(database_url: Urls) -> None:
    async with replica(database_url("notification")) as (_, feed, _):
        tags: list[list[str]] = [["a", "b"], [], ["b"], ["a", "a"], ["A"]]
        for number, given in enumerate(tags):
            await feed.add(Happening(f"e{number}", "task.done.v1", NOON, "p1", f"t{number}", {"tags": given}))
        await feed.add(Happening("theirs", "task.done.v1", NOON, "p2", "t", {"tags": ["a"]}))
        assert [position for position, _ in await feed.after(0, Scope("p1", tag="a"), 10)] == [1, 4]
        assert [position for position, _ in await feed.after(1, Scope("p1", tag="a"), 10)] == [4]
        assert [position for position, _ in await feed.after(0, Scope("p1", tag="b"), 1)] == [1]
        assert [position for position, _ in await feed.after(0, Scope("p2", tag="a"), 10)] == [6]
        assert await feed.after(0, Scope("p1", tag="a' OR 1=1 --"), 10) == []
        await feed.prune(NOON + timedelta(seconds=1))
        assert await feed.after(0, Scope("p1", tag="a"), 10) == []


async def test_what_is_kept_is_kept_from_a_position_on(database_url: Urls) -> None:
    """So that it can be said of a position whether anything after it is missing."""
    async with replica(database_url("notification")) as (_, feed, _):
        assert (await feed.oldest(), await feed.newest()) == (1, 0)
        for number, hours in enumerate((0, 1, 5, 2, 6)):
            at = NOON + timedelta(hours=hours)
            await feed.add(Happening(f"e{number}", "task.done.v1", at, "p1", None, {}))
        await feed.prune(NOON + timedelta(hours=3))
        assert (await feed.oldest(), await feed.newest()) == (3, 5)
        assert [position for position, _ in await feed.since(0, 10)] == [3, 4, 5]
        await feed.prune(NOON + timedelta(hours=7))
        assert (await feed.oldest(), await feed.newest()) == (6, 5)


@pytest.mark.parametrize("hinted", [True, False])
async def test_watchers_of_one_are_told_what_the_other_has_stored(
    database_url: Urls, hinted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hinted:
        monkeypatch.setattr("notification.handlers.watching.LOOK_EVERY_SECONDS", 0.02)
    url = database_url("notification")
    async with replica(url) as (_, feed, _), replica(url) as (_, _, watching):
        told: asyncio.Queue[int] = asyncio.Queue()

        async def watch() -> None:
            async for item in watching.watch(Scope("p0"), None):
                told.put_nowait(item.data["number"])

        async with background(watch()):
            while watching._told is None:
                await asyncio.sleep(0.001)
            for number in range(20):
                position = await feed.add(happening(number))
                if hinted and position is not None:
                    await watching.on_feed_grew(FeedGrew(position=position), ENVELOPE)
            async with asyncio.timeout(30):
                assert [await told.get() for _ in range(10)] == list(range(0, 20, 2))
