"""Live watchers: what they are told, and how they resume without a gap.

A watcher first joins and is then replayed what it missed, so that nothing can fall between the two;
what comes by both ways is told once, by its position. One that does not keep up is dropped, never
waited for.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from contracts.errors import NotFound
from contracts.events import CloudEvent, FeedGrew, TaskProgressed
from contracts.records import TaskRecords

from notification.domain import Happening
from notification.ports import Feed

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


@dataclass(frozen=True)
class Watching:
    tasks: TaskRecords
    feed: Feed
    _watchers: set[Watcher] = field(default_factory=set)

    async def on_feed_grew(self, grew: FeedGrew, _envelope: CloudEvent) -> None:
        for entry in grew.entries:
            self._tell(Item(entry.position, entry.type, entry.project_id, entry.task_id, entry.data))

    async def on_progress(self, progressed: TaskProgressed, envelope: CloudEvent) -> None:
        data = progressed.model_dump(mode="json")
        self._tell(Item(None, envelope.type, progressed.project_id, progressed.task_id, data))

    async def check(self, project_id: str, task_id: str | None) -> None:
        """Raises `NotFound` for a task that is not the project's."""
        if task_id is not None:
            task = await self.tasks.get(task_id)
            if task is None or task.project_id != project_id:
                raise NotFound(f"no task {task_id} in this project")

    async def watch(self, project_id: str, task_id: str | None, after: int | None) -> AsyncIterator[Item]:
        """What happens from now on, and before that what happened after the position `after`.

        A task's watcher without a position starts with the last thing that happened to it.
        """
        with self._joined(project_id, task_id) as watcher:
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


def _item(position: int, happening: Happening) -> Item:
    return Item(position, happening.type, happening.project_id, happening.task_id, happening.data)
