"""One live watcher: what it is told, and what waits until it takes it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from notification.domain.happenings import Happening
from notification.domain.live import Scope

BACKLOG = 256


@dataclass(frozen=True)
class Item:
    """What a watcher is told. `position` is None for progress, which cannot be resumed from."""

    position: int | None
    type: str
    project_id: str
    task_id: str | None
    data: dict[str, Any]
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, position: int, happening: Happening) -> "Item":
        return cls(position, happening.type, happening.project_id, happening.task_id, happening.data, happening.tags)

    @cached_property
    def text(self) -> str:
        """The data as JSON: made once for all who watch."""
        return json.dumps(self.data, separators=(",", ":"))


@dataclass(eq=False)
class Watcher:
    """Takes no more than `BACKLOG` items in advance, which it shares with all others that wait for them."""

    scope: Scope
    _items: "asyncio.Queue[Item]" = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    _dropped: bool = False

    def offer(self, item: Item) -> None:
        if self._dropped or not self.scope.covers(item.project_id, item.task_id, item.tags):
            return
        try:
            self._items.put_nowait(item)
        except asyncio.QueueFull:
            self._dropped = True
            # It may be long until the one who does not read is gone.
            self._items = asyncio.Queue()

    async def items(self) -> AsyncIterator[Item]:
        """Ends when the watcher has fallen too far behind; it can come back and resume."""
        while not self._dropped:
            yield await self._items.get()
