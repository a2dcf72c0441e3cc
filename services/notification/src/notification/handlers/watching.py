"""Live watchers: what they are told, and how they resume without a gap.

A replica reads the feed on from what it has told its watchers already, when it hears that the feed has
grown and every few seconds besides, because such a hint may be lost. What it says is what the table
says, in the table's order, whichever replica wrote it.

A watcher first joins and is then replayed what it missed, so that nothing can fall between the two;
what comes by both ways is told once, by its position. One that does not keep up is dropped, never
waited for.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from contracts.errors import NotFound, RetryableError
from contracts.events import CloudEvent, FeedGrew, TaskProgressed
from contracts.records import TaskRecords

from notification.domain import Happening
from notification.ports import Feed

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 3.0
PAUSE_SECONDS = 1.0
BACKLOG = 256
REPLAY = 1000
"""How much of what was missed is read at a time."""


@dataclass(frozen=True)
class Item:
    """What a watcher is told. `position` is None for progress, which cannot be resumed from."""

    position: int | None
    type: str
    project_id: str
    task_id: str | None
    data: dict[str, Any]


@dataclass(eq=False)
class Watcher:
    project_id: str
    task_id: str | None
    _items: "asyncio.Queue[Item]" = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    _dropped: bool = False

    def offer(self, item: Item) -> None:
        if item.project_id != self.project_id or self.task_id not in (None, item.task_id):
            return
        try:
            self._items.put_nowait(item)
        except asyncio.QueueFull:
            self._dropped = True

    async def items(self) -> AsyncIterator[Item]:
        """Ends when the watcher has fallen too far behind; it can come back and resume."""
        while not self._dropped:
            yield await self._items.get()


@dataclass
class Watching:
    tasks: TaskRecords
    feed: Feed
    _watchers: set[Watcher] = field(default_factory=set)
    _told: int | None = None
    """Up to where this replica has told its watchers; None while it has none."""
    _look: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_feed_grew(self, grew: FeedGrew, _envelope: CloudEvent) -> None:
        self.look(grew.position)

    def look(self, position: int) -> None:
        """The feed has entries up to `position`: they are told soon."""
        if self._told is not None and position > self._told:
            self._look.set()

    async def keep_telling(self) -> None:
        """Runs for as long as the service does."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_SECONDS if self._watchers else None):
                    await self._look.wait()
            self._look.clear()
            try:
                await self._tell_what_is_new()
            except RetryableError as error:
                log.warning("live watchers have to wait", reason=error.detail)
                await asyncio.sleep(PAUSE_SECONDS)
                self._look.set()

    async def _tell_what_is_new(self) -> None:
        while self._told is not None:
            new = await self.feed.since(self._told, REPLAY)
            for position, happening in new:
                self._tell(_item(position, happening))
            if self._watchers and new:
                self._told = new[-1][0]
            if len(new) < REPLAY:
                return

    async def on_progress(self, progressed: TaskProgressed, envelope: CloudEvent) -> None:
        data = progressed.model_dump(mode="json")
        self._tell(Item(None, envelope.type, progressed.project_id, progressed.task_id, data))

    async def check(self, project_id: str, task_id: str | None) -> None:
        """Raises `NotFound` for a task that is not the project's, and `DependencyUnavailable`."""
        await self.feed.newest()
        if task_id is not None:
            task = await self.tasks.get(task_id)
            if task is None or task.project_id != project_id:
                raise NotFound(f"no task {task_id} in this project")

    async def watch(self, project_id: str, task_id: str | None, after: int | None) -> AsyncIterator[Item]:
        """What happens from now on, and before that what happened after the position `after`.

        A task's watcher without a position starts with the last thing that happened to it. Ends when
        the watcher has to come back and resume.
        """
        try:
            async with aclosing(self._watch(project_id, task_id, after)) as items:
                async for item in items:
                    yield item
        except RetryableError as error:
            log.warning("a live watcher has to come back", reason=error.detail)

    async def _watch(self, project_id: str, task_id: str | None, after: int | None) -> AsyncGenerator[Item]:
        with self._joined(project_id, task_id) as watcher:
            await self._begin()
            told = after or 0
            while missed := await self._missed(project_id, task_id, None if after is None else told):
                for told, happening in missed:
                    yield _item(told, happening)
                if len(missed) < REPLAY:
                    break
            async for item in watcher.items():
                if item.position is None:
                    yield item
                elif item.position > told:
                    told = item.position
                    yield item

    async def _missed(self, project_id: str, task_id: str | None, after: int | None) -> list[tuple[int, Happening]]:
        if after is not None:
            return list(await self.feed.after(after, project_id, task_id, REPLAY))
        latest = await self.feed.latest(project_id, task_id) if task_id else None
        return [latest] if latest else []

    async def _begin(self) -> None:
        """The first watcher is told what comes after what there is when it joins."""
        if self._told is None:
            newest = await self.feed.newest()
            self._told = newest if self._told is None else min(self._told, newest)
            self._look.set()

    def _tell(self, item: Item) -> None:
        for watcher in self._watchers:
            watcher.offer(item)

    @contextmanager
    def _joined(self, project_id: str, task_id: str | None) -> Iterator[Watcher]:
        watcher = Watcher(project_id, task_id)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._told = None


def _item(position: int, happening: Happening) -> Item:
    return Item(position, happening.type, happening.project_id, happening.task_id, happening.data)
