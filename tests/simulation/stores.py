"""The state store, the object store and the job scheduler, each one thing that all processes share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from contracts.errors import AlreadyExists, DependencyUnavailable, NotFound, StateConflict
from contracts.pauses import EVERYTHING
from contracts.ports import StoredObject, Versioned
from contracts.topics import pauses_key

from tests.simulation.loop import current_process
from tests.simulation.network import BEGIN, Network

STALE_SECONDS = 3.0
RING_AGAIN_SECONDS = 1.0


class Watching(Protocol):
    """Who is told of every document that is saved."""

    def saved(self, who: str, key: str, before: bytes | None, after: bytes) -> None: ...


PAUSES = pauses_key(EVERYTHING)


class SimulatedState:
    """Linearizable, with etags, but a read may come from a replica that is behind."""

    def __init__(self, network: Network, watching: Watching) -> None:
        self.documents: dict[str, Versioned] = {}
        self._before: dict[str, tuple[float, Versioned | None]] = {}
        self._network = network
        self._watching = watching
        self._writes = 0

    async def get(self, key: str) -> Versioned | None:
        if key == PAUSES:
            # It is read beside what fails often enough, and a read that cannot be made only puts the pass off: drawing
            # faults for it would make other runs of all seeds, and those that show something are kept.
            return self.documents.get(key)
        stale = self._network.faults.happens("stale read", self._network.loop.time())
        return await self._network.call("state store", lambda: self._read(key, stale))

    async def create(self, key: str, value: bytes) -> None:
        who = _who()
        await self._network.call("state store", lambda: self._create(who, key, value))

    async def replace(self, key: str, value: bytes, etag: str) -> None:
        who, conflict = _who(), self._network.faults.happens("conflicting write", self._network.loop.time())
        await self._network.call("state store", lambda: self._replace(who, key, value, etag, conflict))

    async def delete(self, key: str, etag: str) -> None:
        await self._network.call("state store", lambda: self._delete(key, etag))

    def create_at_once(self, key: str, value: bytes) -> None:
        """What is there before anything happens."""
        self._create("-", key, value)

    def replace_at_once(self, key: str, value: bytes) -> None:
        """What somebody changes who never fails."""
        self._write("-", key, value)

    def _read(self, key: str, stale: bool) -> Versioned | None:
        at, before = self._before.get(key, (0.0, None))
        if stale and before is not None and self._network.loop.time() - at < STALE_SECONDS:
            self._network.note(f"a stale read of {key[:9]}")
            return before
        return self.documents.get(key)

    def _create(self, who: str, key: str, value: bytes) -> None:
        if key in self.documents:
            raise AlreadyExists(f"{key} exists")
        self._write(who, key, value)

    def _replace(self, who: str, key: str, value: bytes, etag: str, conflict: bool) -> None:
        found = self.documents.get(key)
        if conflict or found is None or found.etag != etag:
            raise StateConflict(f"{key} has changed")
        self._write(who, key, value)

    def _delete(self, key: str, etag: str) -> None:
        found = self.documents.get(key)
        if found is None or found.etag != etag:
            raise StateConflict(f"{key} has changed")
        del self.documents[key]

    def _write(self, who: str, key: str, value: bytes) -> None:
        before = self.documents.get(key)
        self._writes += 1
        self.documents[key] = Versioned(value, str(self._writes))
        self._before[key] = (self._network.loop.time(), before)
        self._watching.saved(who, key, before.value if before else None, value)


class SimulatedObjects:
    def __init__(self, network: Network) -> None:
        self.stored: dict[str, tuple[bytes, datetime]] = {}
        self._network = network

    async def put(self, key: str, content: bytes | Path) -> None:
        data = content.read_bytes() if isinstance(content, Path) else content
        await self._network.call("object store", lambda: self._put(key, data))

    async def head(self, key: str) -> StoredObject | None:
        return await self._network.call("object store", lambda: self._head(key))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        yield (await self._network.call("object store", lambda: self._found(key)))[start:end]

    async def copy(self, source: str, target: str) -> None:
        await self._network.call("object store", lambda: self._put(target, self._found(source)))

    async def delete(self, key: str) -> None:
        await self._network.call("object store", lambda: self._delete(key))

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        for stored in await self._network.call("object store", lambda: self.under(prefix)):
            yield stored

    def under(self, prefix: str) -> Sequence[StoredObject]:
        folder = prefix.rstrip("/") + "/"
        return [found for key in sorted(self.stored) if key.startswith(folder) and (found := self._head(key))]

    def _put(self, key: str, data: bytes) -> None:
        self.stored[key] = (data, BEGIN + timedelta(seconds=self._network.loop.time()))

    def _head(self, key: str) -> StoredObject | None:
        found = self.stored.get(key)
        return StoredObject(key, len(found[0]), found[1]) if found else None

    def _found(self, key: str) -> bytes:
        if key not in self.stored:
            raise NotFound(f"no object {key}")
        return self.stored[key][0]

    def _delete(self, key: str) -> None:
        self.stored.pop(key, None)


Ring = Callable[[str, str], Awaitable[None]]


class SimulatedScheduler:
    """Dapr's scheduler: keeps every job until the app has answered its ring."""

    def __init__(self, network: Network, ring: Ring) -> None:
        self._network = network
        self._ring = ring
        self._due: dict[tuple[str, str], float] = {}

    def schedule(self, app: str, name: str, due: float) -> None:
        now, faults = self._network.loop.time(), self._network.faults
        due = max(now, due)
        if faults.happens("ring late", now):
            due += self._network.randomness.uniform(0.0, 60.0)
        self._due[app, name] = due
        self._network.loop.later(due - now, self._fall_due, app, name, due)
        if faults.happens("ring repeated", now):
            again = due + self._network.randomness.uniform(0.0, 30.0)
            self._network.loop.later(again - now, self._start_ringing, app, name)

    def cancel(self, app: str, name: str) -> None:
        self._due.pop((app, name), None)

    def _fall_due(self, app: str, name: str, due: float) -> None:
        if self._due.get((app, name)) != due:
            return
        del self._due[app, name]
        if self._network.faults.happens("ring lost", due):
            self._network.note(f"the ring of {name} is lost")
            return
        self._start_ringing(app, name)

    def _start_ringing(self, app: str, name: str) -> None:
        self._network.loop.spawn(None, self._until_answered(app, name))

    async def _until_answered(self, app: str, name: str) -> None:
        while True:
            try:
                await self._ring(app, name)
            except DependencyUnavailable:
                await asyncio.sleep(RING_AGAIN_SECONDS)
            else:
                return


class SimulatedJobs:
    """The `Jobs` port of one app."""

    def __init__(self, network: Network, scheduler: SimulatedScheduler, app: str) -> None:
        self._network = network
        self._scheduler = scheduler
        self._app = app

    async def schedule(self, name: str, due: datetime) -> None:
        at = (due - BEGIN).total_seconds()
        await self._network.call("scheduler", lambda: self._scheduler.schedule(self._app, name, at))

    async def cancel(self, name: str) -> None:
        await self._network.call("scheduler", lambda: self._scheduler.cancel(self._app, name))


def _who() -> str:
    process = current_process()
    return process.name if process else "-"
