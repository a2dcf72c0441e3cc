"""One suite per port, run over its fake and over every real adapter.

A test module subclasses a suite and provides the fixture it names.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from contracts.errors import AlreadyExists, NotFound, StateConflict
from contracts.events import CloudEvent, Message, task_changed
from contracts.ports import ObjectStore, StateStore
from contracts.testing.examples import a_task
from contracts.topics import Topic


class StateStoreConformance:
    """Needs the fixtures `store` and `prefix`; the prefix keeps runs over one database apart."""

    async def test_what_was_never_stored_is_none(self, store: StateStore, prefix: str) -> None:
        assert await store.get(f"{prefix}:nothing") is None

    async def test_what_cannot_be_a_key_is_none(self, store: StateStore, prefix: str) -> None:
        for never in ("\0", "a||b", "'; drop table state; --", "\N{GRINNING FACE}", "%00", "x" * 2000):
            assert await store.get(f"{prefix}:{never}") is None

    async def test_keeps_bytes_exactly(self, store: StateStore, prefix: str) -> None:
        value = '{"b":1,  "a":"ü\\u0000"}'.encode()
        await store.create(f"{prefix}:exact", value)
        found = await store.get(f"{prefix}:exact")
        assert found is not None and found.value == value and found.etag

    async def test_creates_once(self, store: StateStore, prefix: str) -> None:
        await store.create(f"{prefix}:once", b'"first"')
        with pytest.raises(AlreadyExists):
            await store.create(f"{prefix}:once", b'"second"')
        found = await store.get(f"{prefix}:once")
        assert found is not None and found.value == b'"first"'

    async def test_replaces_only_what_was_read(self, store: StateStore, prefix: str) -> None:
        key = f"{prefix}:replace"
        await store.create(key, b"1")
        first = await store.get(key)
        assert first is not None
        await store.replace(key, b"2", first.etag)
        with pytest.raises(StateConflict):
            await store.replace(key, b"3", first.etag)
        second = await store.get(key)
        assert second is not None and second.value == b"2" and second.etag != first.etag

    async def test_cannot_replace_what_is_gone(self, store: StateStore, prefix: str) -> None:
        key = f"{prefix}:gone"
        await store.create(key, b"1")
        found = await store.get(key)
        assert found is not None
        await store.delete(key, found.etag)
        assert await store.get(key) is None
        with pytest.raises(StateConflict):
            await store.replace(key, b"2", found.etag)

    async def test_deletes_only_what_was_read(self, store: StateStore, prefix: str) -> None:
        key = f"{prefix}:delete"
        await store.create(key, b"1")
        first = await store.get(key)
        assert first is not None
        await store.replace(key, b"2", first.etag)
        with pytest.raises(StateConflict):
            await store.delete(key, first.etag)
        assert await store.get(key) is not None

    async def test_one_of_many_writers_wins(self, store: StateStore, prefix: str) -> None:
        key = f"{prefix}:race"
        await store.create(key, b"0")
        found = await store.get(key)
        assert found is not None
        outcomes = await asyncio.gather(
            *(store.replace(key, str(n).encode(), found.etag) for n in range(1, 9)), return_exceptions=True
        )
        assert outcomes.count(None) == 1
        assert all(isinstance(outcome, StateConflict) for outcome in outcomes if outcome is not None)

    async def test_one_of_many_creators_wins(self, store: StateStore, prefix: str) -> None:
        outcomes = await asyncio.gather(
            *(store.create(f"{prefix}:creators", str(n).encode()) for n in range(8)), return_exceptions=True
        )
        assert outcomes.count(None) == 1
        assert all(isinstance(outcome, AlreadyExists) for outcome in outcomes if outcome is not None)


class ObjectStoreConformance:
    """Needs the fixture `objects`."""

    async def test_stores_bytes_and_files(self, objects: ObjectStore, tmp_path: Path) -> None:
        file = tmp_path / "clip"
        file.write_bytes(bytes(range(256)) * 40_000)
        await objects.put("staging/a/small", b"abc")
        await objects.put("staging/a/large", file)
        assert await read(objects, "staging/a/small") == b"abc"
        assert await read(objects, "staging/a/large") == file.read_bytes()

    async def test_tells_size_or_absence(self, objects: ObjectStore) -> None:
        await objects.put("staging/b/x", b"12345")
        found = await objects.head("staging/b/x")
        assert found is not None and found.size == 5
        assert await objects.head("staging/b/y") is None

    async def test_replaces(self, objects: ObjectStore) -> None:
        await objects.put("staging/c/x", b"old and longer")
        await objects.put("staging/c/x", b"new")
        assert await read(objects, "staging/c/x") == b"new"

    async def test_reads_ranges(self, objects: ObjectStore) -> None:
        await objects.put("staging/d/x", b"0123456789")
        assert await read(objects, "staging/d/x", 2, 5) == b"234"
        assert await read(objects, "staging/d/x", 7) == b"789"

    async def test_copies(self, objects: ObjectStore) -> None:
        await objects.put("staging/e/x", b"payload")
        await objects.copy("staging/e/x", "projects/p/media/m/original.png")
        assert await read(objects, "projects/p/media/m/original.png") == b"payload"

    async def test_what_is_absent_cannot_be_read_or_copied(self, objects: ObjectStore) -> None:
        with pytest.raises(NotFound):
            await read(objects, "staging/f/none")
        with pytest.raises(NotFound):
            await objects.copy("staging/f/none", "staging/f/copy")

    async def test_deletes_twice(self, objects: ObjectStore) -> None:
        await objects.put("staging/g/x", b"1")
        await objects.delete("staging/g/x")
        await objects.delete("staging/g/x")
        assert await objects.head("staging/g/x") is None

    async def test_lists_below_a_prefix_only(self, objects: ObjectStore) -> None:
        for key in ("staging/h/1/x", "staging/h/2/y", "staging/hh/z"):
            await objects.put(key, b"1")
        assert sorted([found.key async for found in objects.list("staging/h")]) == ["staging/h/1/x", "staging/h/2/y"]
        assert [found.key async for found in objects.list("staging/none")] == []


class Line(Protocol):
    """Both ends of one topic: what is said on it, and what the one service that listens has heard."""

    topic: Topic
    heard: list[CloudEvent]
    refusals: int
    """How many deliveries the listener answers with RETRY from now on."""

    async def publish(self, message: Message) -> None: ...


class PubSubConformance:
    """Needs the fixture `line`, whose topic nobody else uses."""

    async def test_what_was_said_arrives_as_it_was_said(self, line: Line) -> None:
        said = task_changed(a_task(), "test")
        await line.publish(replace(said, topic=line.topic))
        await _heard(line, 1)
        assert line.heard == [said.event]

    async def test_what_has_one_key_arrives_in_its_order(self, line: Line) -> None:
        said = [task_changed(a_task(seq=seq), "test") for seq in range(1, 31)]
        for message in said:
            await line.publish(replace(message, topic=line.topic))
        await _heard(line, len(said))
        assert [event.id for event in line.heard] == [message.event.id for message in said]

    async def test_what_is_refused_comes_again_and_nothing_is_lost(self, line: Line) -> None:
        said = [task_changed(a_task(seq=seq), "test") for seq in (1, 2)]
        line.refusals = 2
        await asyncio.gather(*(line.publish(replace(message, topic=line.topic)) for message in said))
        await _heard(line, 2)
        assert line.refusals == 0
        assert {event.id for event in line.heard} == {message.event.id for message in said}


async def _heard(line: Line, number: int) -> None:
    async with asyncio.timeout(30):
        while len(line.heard) < number:
            await asyncio.sleep(0.01)


async def read(objects: ObjectStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in objects.read(key, start, end)])
