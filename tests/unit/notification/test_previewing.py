"""Workers hear what is watched, as long as it is, and watchers get links to what there is to see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import pytest
from chassis.preview_links import PreviewLinks
from contracts.errors import DependencyUnavailable, Unauthenticated
from contracts.events import (
    LARGEST_EVENT,
    MOST_PARTS,
    FeedWatched,
    Message,
    TaskProgressed,
    WatchedPart,
    feed_watched,
    parse,
)
from contracts.records import TaskRecords
from contracts.tasks import Phase, ProcessingProgress
from contracts.testing import InMemoryBus, InMemoryState, SettableClock
from contracts.testing.examples import NOON, a_task
from cryptography.fernet import Fernet
from notification.domain.live import Scope, widest
from notification.handlers import previewing
from notification.handlers.previewing import Previewing, preview_url
from notification.handlers.watching import Watching

from tests.conftest import until
from tests.unit.notification.test_watching import FeedOf

P1 = Scope("p1")
TASK = a_task()
LINKS = PreviewLinks(Fernet.generate_key().decode())
PROGRESS = TaskProgressed(
    task_id=TASK.id,
    project_id="p1",
    attempt=2,
    phase=Phase.GENERATING,
    progress=ProcessingProgress(step=3, total=12, fraction=0.25),
    preview_step=2,
)


class Bus(InMemoryBus):
    away = False

    async def publish(self, message: Message) -> None:
        if self.away:
            raise DependencyUnavailable("the broker is away")
        await super().publish(message)


class Said:
    def __init__(self) -> None:
        self.bus, self.clock = Bus(), SettableClock()
        self.watching = Watching(TaskRecords(InMemoryState(), self.clock), FeedOf(), 100, lambda _progressed: None)

    @property
    def events(self) -> list[FeedWatched]:
        events = [parse(message.event) for message in self.bus.messages]
        return [event for event in events if isinstance(event, FeedWatched)]

    @asynccontextmanager
    async def watched(self, *scopes: Scope) -> AsyncIterator[None]:
        watchers = [self.watching.watch(scope, None) for scope in scopes]
        waiting = [asyncio.create_task(anext(watcher)) for watcher in watchers]
        await until(lambda: self.watching.scopes >= set(scopes))
        try:
            yield
        finally:
            for one, watcher in zip(waiting, watchers, strict=True):
                one.cancel()
                await asyncio.gather(one, return_exceptions=True)
                async with aclosing(watcher):
                    pass


@pytest.fixture
async def said(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Said]:
    monkeypatch.setattr(previewing, "GATHER_SECONDS", 0.001)
    monkeypatch.setattr(previewing, "SAY_AGAIN_SECONDS", 0.01)
    found = Said()
    saying = asyncio.create_task(Previewing(found.watching, found.bus, found.clock).keep_saying_what_is_watched())
    try:
        yield found
    finally:
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)


async def test_says_nothing_while_nobody_watches(said: Said) -> None:
    await asyncio.sleep(0.05)
    assert said.events == []


async def test_says_at_once_what_is_watched_and_again_until_nobody_does(said: Said) -> None:
    async with said.watched(P1, Scope("p2", tag="hero")):
        await until(lambda: len(said.events) > 3)
    assert set(said.events[2].parts) == {WatchedPart(project_id="p1"), WatchedPart(project_id="p2", tag="hero")}
    await asyncio.sleep(0.05)
    before = len(said.events)
    await asyncio.sleep(0.05)
    assert len(said.events) == before


async def test_goes_on_after_a_word_that_could_not_be_said(said: Said) -> None:
    said.bus.away = True
    async with said.watched(P1):
        await asyncio.sleep(0.03)
        said.bus.away = False
        await until(lambda: bool(said.events))


async def test_many_are_said_in_events_that_are_not_too_large(said: Said) -> None:
    scopes = [Scope(f"{'p' * 60}{number}", tag="\N{CLAPPER BOARD}" * 64) for number in range(120)]
    async with said.watched(*scopes):
        await until(lambda: len({part for event in said.events for part in event.parts}) == 120)
    assert max(len(event.parts) for event in said.events) == MOST_PARTS
    assert max(len(message.event.model_dump_json()) for message in said.bus.messages) < LARGEST_EVENT


def test_a_full_event_fits_even_where_everything_is_escaped() -> None:
    part = {"project_id": "p" * 64, "task_id": TASK.id, "tag": "\N{CLAPPER BOARD}" * 64}
    message = feed_watched(FeedWatched(parts=(WatchedPart(**part),) * MOST_PARTS, seconds=15), "test", NOON)
    assert (
        len(message.event.model_dump_json().encode("ascii", "backslashreplace")) + 2 * 64 * MOST_PARTS < LARGEST_EVENT
    )


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ([], []),
        ([Scope("p1", tag="b"), Scope("p1", tag="a")], [Scope("p1", tag="a"), Scope("p1", tag="b")]),
        ([Scope("p1", task_id="t"), P1, Scope("p1", tag="a"), Scope("p2", tag="a")], [P1, Scope("p2", tag="a")]),
    ],
)
def test_parts_of_what_is_watched_as_a_whole_are_left_out(scopes: list[Scope], expected: list[Scope]) -> None:
    assert widest(scopes) == expected


class TestLinks:
    def test_is_to_the_attempt_and_opens_for_a_minute(self) -> None:
        url = preview_url(LINKS, SettableClock(), PROGRESS)
        assert url is not None
        path, _, token = url.partition("?link=")
        assert path == f"/api/v1/media/previews/{TASK.id}"
        opened = LINKS.open(token, TASK.id, NOON + timedelta(seconds=59))
        assert (opened.project_id, opened.attempt) == ("p1", "2")
        with pytest.raises(Unauthenticated):
            LINKS.open(token, TASK.id, NOON + timedelta(seconds=60))

    def test_there_is_none_without_a_new_preview_or_without_keys(self) -> None:
        assert preview_url(LINKS, SettableClock(), PROGRESS.model_copy(update={"preview_step": None})) is None
        assert preview_url(None, SettableClock(), PROGRESS) is None
