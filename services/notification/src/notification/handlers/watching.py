"""Live watchers: what they are told, and how they resume without a gap.

A replica reads the feed on from what it has told its watchers already, when it hears that the feed has
grown and every few seconds besides, because such a hint may be lost. What it says is what the table
says, in the table's order, whichever replica wrote it.

A watcher first joins and is then replayed what it missed, so that nothing can fall between the two;
what comes by both ways is told once, by its position. One that does not keep up is dropped, never
waited for. One that cannot be told everything it missed is told so.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field

import structlog
from cachetools import LRUCache
from contracts.errors import LimitReached, NotFound, RetryableError
from contracts.events import CloudEvent, FeedGrew, TaskProgressed
from contracts.records import TaskRecords

from notification.domain.live import Scope, gap_after
from notification.handlers.watchers import Item, Watcher
from notification.ports import Feed

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 3.0
PAUSE_SECONDS = 1.0
READ = 1000
"""How much of what is new is read at a time, for all watchers."""
REPLAY = 100
"""How much of what was missed is read at a time, for each watcher: so much it holds while it is slow."""
OVERLAP = 1000
"""How far before the newest a watcher begins that must reload: what it loads may be some moments old."""
RESET = "feed.reset.v1"
COME_BACK_SECONDS = 5


@dataclass
class Watching:
    tasks: TaskRecords
    feed: Feed
    most_per_project: int
    """How many may watch a project at once."""
    preview_url: Callable[[TaskProgressed], str | None]
    """A link to the preview that it tells of, if it tells of one."""
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when somebody has begun to watch."""
    _watchers: set[Watcher] = field(default_factory=set)
    _places: Counter[str] = field(default_factory=Counter)
    _tags: LRUCache[tuple[str, str], tuple[str, ...]] = field(default_factory=lambda: LRUCache(10_000))
    """Of tasks whose progress was told to a tag's watchers. A task's tags never change."""
    _told: int | None = None
    """Up to where this replica has told its watchers; None while it has none."""
    _look: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def scopes(self) -> set[Scope]:
        """What is watched on this replica now."""
        return {watcher.scope for watcher in self._watchers}

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
            new = await self.feed.since(self._told, READ)
            for position, happening in new:
                self._tell(Item.of(position, happening))
            if self._watchers and new:
                self._told = new[-1][0]
            if len(new) < READ:
                return

    async def on_progress(self, progressed: TaskProgressed, envelope: CloudEvent) -> None:
        task_id, project_id = progressed.task_id, progressed.project_id
        by_tag = any(watcher.scope.tag and watcher.scope.project_id == project_id for watcher in self._watchers)
        tags = await self._tags_of(project_id, task_id) if by_tag else ()
        data = progressed.model_dump(mode="json") | {"preview_url": self.preview_url(progressed)}
        self._tell(Item(None, envelope.type, project_id, task_id, data, tags))

    async def _tags_of(self, project_id: str, task_id: str) -> tuple[str, ...]:
        """As the feed has them: progress names none."""
        known = self._tags.get((project_id, task_id))
        if known is None:
            with suppress(RetryableError):
                latest = await self.feed.latest(project_id, task_id)
                if latest is not None:
                    known = self._tags[project_id, task_id] = latest[1].tags
        return known or ()

    async def check(self, scope: Scope) -> None:
        """Raises `NotFound` for a task that is not the project's, and `DependencyUnavailable`."""
        await self.feed.newest()
        if scope.task_id is not None:
            task = await self.tasks.get(scope.task_id)
            if task is None or task.project_id != scope.project_id:
                raise NotFound(f"no task {scope.task_id} in this project")

    @contextmanager
    def place(self, project_id: str) -> Iterator[None]:
        """One of the places that a project's watchers have. Raises `LimitReached`."""
        if self._places[project_id] >= self.most_per_project:
            raise LimitReached(
                f"the project has {self.most_per_project} live connections here, which is the most", COME_BACK_SECONDS
            )
        self._places[project_id] += 1
        try:
            yield
        finally:
            self._places[project_id] -= 1
            if not self._places[project_id]:
                del self._places[project_id]

    async def watch(self, scope: Scope, after: int | None) -> AsyncGenerator[Item]:
        """What happens from now on, and before that what happened after the position `after`.

        A task's watcher without a position starts with the last thing that happened to it. Ends when
        the watcher has to come back and resume.
        """
        try:
            async with aclosing(self._watch(scope, after)) as items:
                async for item in items:
                    yield item
        except RetryableError as error:
            log.warning("a live watcher has to come back", reason=error.detail)

    async def _watch(self, scope: Scope, after: int | None) -> AsyncGenerator[Item]:
        with self._joined(scope) as watcher:
            await self._begin()
            told = 0
            async with aclosing(self._past(scope, after)) as past:
                async for item in past:
                    told = item.position or told
                    yield item
            async for item in watcher.items():
                if item.position is None:
                    yield item
                elif item.position > told:
                    told = item.position
                    yield item

    async def _past(self, scope: Scope, after: int | None) -> AsyncGenerator[Item]:
        if after is None:
            latest = await self.feed.latest(scope.project_id, scope.task_id) if scope.task_id else None
            if latest:
                yield Item.of(*latest)
            return
        newest = await self.feed.newest()
        oldest = await self.feed.oldest()
        if gap := gap_after(after, oldest, newest):
            after = max(oldest - 1, newest - OVERLAP)
            yield Item(after, RESET, scope.project_id, scope.task_id, {"reason": gap.value})
        while missed := await self.feed.after(after, scope, REPLAY):
            for after, happening in missed:
                yield Item.of(after, happening)
            if len(missed) < REPLAY:
                return

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
    def _joined(self, scope: Scope) -> Iterator[Watcher]:
        watcher = Watcher(scope)
        self._watchers.add(watcher)
        self.joined.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._told = None
