"""Results from staging into their project, over fakes and with real media libraries."""

import asyncio
import hashlib
import io
import json
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from contracts.errors import DependencyUnavailable
from contracts.events import task_changed
from contracts.media import Comparison
from contracts.records import TaskRecords, media_records
from contracts.tasks import Phase, RequestCancel, Task
from contracts.testing.examples import a_task_in, produced_media
from contracts.topics import task_key
from contracts.views import TaskView
from cryptography.fernet import Fernet
from PIL import Image
from storage.adapters import media_tools
from storage.app import create
from storage.domain import Probe
from storage.settings import StorageSettings

from tests.conftest import Running, Serve, World, settle, until


def png(colour: str = "red") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(written, "PNG")
    return written.getvalue()


class Storage:
    def __init__(self, running: Running, world: World) -> None:
        self.running, self.world = running, world
        self.tasks = TaskRecords(world.state, world.clock)

    async def produce(self, content: bytes | None = None, attempt: int = 1, **claim: object) -> Task:
        """A task whose worker has put `content` into staging and made a claim of it."""
        content = png() if content is None else content
        task = a_task_in(Phase.STORING).model_copy(update={"attempt": attempt})
        honest = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        produced = produced_media(task, attempt).model_copy(update=honest | claim)
        task = task.model_copy(update={"produced": produced})
        await self.world.state.create(task_key(task.id), task.model_dump_json().encode())
        await self.world.objects.put(produced.key, content)
        return task

    async def hear(self, task: Task) -> None:
        assert await self.running.deliver(task_changed(task, "gpu-worker-image")) == "SUCCESS"

    async def store(self, task: Task) -> Task:
        """The task once it has left storage, and everybody was told."""
        await self.hear(task)
        async with asyncio.timeout(30):
            while (found := await self.now(task)).phase is Phase.STORING:
                await asyncio.sleep(0.001)
        await settle(self.world)
        return found

    async def now(self, task: Task) -> Task:
        found = await self.tasks.get(task.id)
        assert found is not None
        return found

    async def keys(self, prefix: str) -> list[str]:
        return [stored.key async for stored in self.world.objects.list(prefix)]

    async def ring_due(self) -> None:
        for name in [name for name, due in self.world.jobs.due.items() if due <= self.world.clock.now()]:
            del self.world.jobs.due[name]
            assert await self.running.ring(name) == 204


@pytest.fixture
def settings(tmp_path: Path, database_url: Callable[[str], str]) -> StorageSettings:
    return StorageSettings(
        storage_database=database_url("storage"),
        storage_scratch=tmp_path / "scratch",
        media_link_keys=Fernet.generate_key().decode(),
        media_url="memory:///",
        replica="test",
    )


@pytest.fixture
async def storage(world: World, serve: Serve, settings: StorageSettings) -> AsyncIterator[Storage]:
    async with serve([create(settings, world.outside)]) as running:
        started = Storage(running, world)
        await until(lambda: "storage-ingest-test" in world.jobs.due)
        await started.ring_due()
        yield started


async def test_a_result_is_verified_and_promoted(storage: Storage) -> None:
    task = await storage.produce()
    done = await storage.store(task)
    assert done.phase is Phase.DONE
    assert done.result is not None
    assert (done.result.width, done.result.height, done.result.content_type) == (64, 48, "image/png")
    assert await media_records(storage.world.state).get(done.result.id) == done.result
    prefix = f"projects/{task.project_id}/media/{done.result.id}"
    assert await storage.keys("projects") == [
        f"{prefix}/manifest.json",
        f"{prefix}/original.png",
        f"{prefix}/thumbnail.webp",
    ]
    assert await storage.keys("staging") == []
    manifest = b"".join([chunk async for chunk in storage.world.objects.read(f"{prefix}/manifest.json")])
    assert json.loads(manifest)["provenance"]["params"] == task.params
    assert storage.world.bus.types == ["task.done.v1"]


async def test_how_a_replay_compares_is_kept_with_its_result_and_shown(storage: Storage) -> None:
    comparison = Comparison(equal=False, max_difference=0.5, mean_difference=0.25, psnr_db=9.5, note="av 1 then, 2 now")
    done = await storage.store(await storage.produce(comparison=comparison))
    assert done.result is not None
    assert (await media_records(storage.world.state).get(done.result.id)) == done.result
    assert TaskView.of(done).replay == done.result.comparison == comparison


async def test_heard_twice_it_is_stored_once(storage: Storage) -> None:
    task = await storage.produce()
    await storage.hear(task)
    done = await storage.store(task)
    again = await storage.store(task)
    assert (again.seq, again.result) == (done.seq, done.result)


@pytest.mark.parametrize(
    ("content", "claim"),
    [
        (b"not a picture at all", {}),
        (png(), {"sha256": "f" * 64}),
        (png(), {"size": 5}),
        (png(), {"content_type": "image/jpeg"}),
    ],
)
async def test_a_file_that_is_not_what_was_claimed_costs_the_attempt(
    storage: Storage, content: bytes, claim: dict[str, Any]
) -> None:
    failed = await storage.store(await storage.produce(content, **claim))
    assert failed.phase is Phase.RETRY_WAIT
    assert failed.error is not None
    assert failed.error.code == "media-corrupt"
    assert await storage.keys("projects") == []


async def test_a_file_that_is_gone_costs_the_attempt(storage: Storage) -> None:
    task = await storage.produce()
    await storage.world.objects.delete(task.produced.key if task.produced else "")
    assert (await storage.store(task)).phase is Phase.RETRY_WAIT


async def test_a_result_nobody_wants_any_more_is_not_stored(storage: Storage) -> None:
    task = await storage.produce()
    await storage.tasks.change(task.id, lambda _found: RequestCancel())
    assert (await storage.store(task)).phase is Phase.CANCELLED
    assert await storage.keys("projects") == []
    assert await storage.keys("staging") == []


@pytest.mark.parametrize("refused", ["thumbnail.webp", "manifest.json", "media:"])
async def test_a_cancel_between_two_tries_leaves_no_files_behind(
    storage: Storage, world: World, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    task = await _half_stored(storage, world, monkeypatch, refused)
    await storage.tasks.change(task.id, lambda _found: RequestCancel())
    await storage.ring_due()
    await until(lambda: bool(world.bus.types))
    assert (await storage.now(task)).phase is Phase.CANCELLED
    assert await storage.keys("projects") == []


async def test_a_cancel_of_what_is_stored_already_comes_too_late(
    storage: Storage, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await _half_stored(storage, world, monkeypatch, "task:")
    await storage.tasks.change(task.id, lambda _found: RequestCancel())
    await storage.ring_due()
    await until(lambda: bool(world.bus.types))
    found = await storage.now(task)
    assert found.phase is Phase.DONE
    assert found.result is not None and await media_records(world.state).get(found.result.id) == found.result


async def _half_stored(storage: Storage, world: World, monkeypatch: pytest.MonkeyPatch, refused: str) -> Task:
    """A result whose storing came as far as to the key that is refused; it is due to be tried again."""
    put, create, replace = world.objects.put, world.state.create, world.state.replace
    refusals: list[str] = []

    def refuse(key: str) -> None:
        if refused in key:
            refusals.append(key)
            raise DependencyUnavailable(f"{key} is refused")

    async def refuse_object(key: str, content: bytes | Path) -> None:
        refuse(key)
        await put(key, content)

    async def refuse_create(key: str, value: bytes) -> None:
        refuse(key)
        await create(key, value)

    async def refuse_replace(key: str, value: bytes, etag: str) -> None:
        refuse(key)
        await replace(key, value, etag)

    task = await storage.produce()
    with monkeypatch.context() as away:
        away.setattr(world.objects, "put", refuse_object)
        away.setattr(world.state, "create", refuse_create)
        away.setattr(world.state, "replace", refuse_replace)
        await storage.hear(task)
        await until(lambda: bool(refusals))
        await settle(world)
    world.clock.advance(minutes=5)
    return task


async def test_uploads_that_take_long_keep_no_result_waiting(
    storage: Storage, world: World, settings: StorageSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, slow, may_end = await world.add_project("p2", "k2"), png("blue"), threading.Event()
    looks, look = list[Path](), media_tools._probe

    def look_slowly(path: Path) -> Probe:
        if path.read_bytes() == slow:
            looks.append(path)
            may_end.wait(60)
        return look(path)

    monkeypatch.setattr(media_tools, "_probe", look_slowly)
    form, headers = {"file": ("x.png", slow, "image/png")}, {"X-API-Key": key}
    uploads = [
        asyncio.create_task(storage.running.http.post("/api/v1/media", files=form, headers=headers)) for _ in range(2)
    ]
    try:
        await until(lambda: bool(looks) and len(list(settings.storage_scratch.iterdir())) == len(uploads))
        assert (await storage.store(await storage.produce())).phase is Phase.DONE
        assert not any(upload.done() for upload in uploads)
    finally:
        may_end.set()
    assert [(await upload).status_code for upload in uploads] == [201, 201]


async def test_a_zombies_claim_is_passed_over(storage: Storage) -> None:
    task = await storage.produce()
    zombie = task.model_copy(update={"attempt": 0, "seq": task.seq - 1})
    await storage.hear(zombie)
    await settle(storage.world)
    assert (await storage.now(task)).phase is Phase.STORING
    assert storage.world.bus.types == []


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_record_from_before_the_result_is_read_again_soon(storage: Storage, world: World, attempt: int) -> None:
    """As a replica of the state store gives it that lags behind."""
    task = await storage.produce(attempt=attempt)
    newest = await world.state.get(task_key(task.id))
    assert newest is not None
    before = a_task_in(Phase.ENCODING)
    await world.state.replace(task_key(task.id), before.model_dump_json().encode(), newest.etag)
    await storage.hear(task)
    soon = world.clock.now() + timedelta(seconds=10)
    await until(lambda: world.jobs.due.get("storage-ingest-test", soon) < soon)
    lagging = await world.state.get(task_key(task.id))
    assert lagging is not None
    await world.state.replace(task_key(task.id), newest.value, lagging.etag)
    world.clock.advance(seconds=10)
    await storage.ring_due()
    await until(lambda: world.bus.types == ["task.done.v1"])


async def test_a_store_that_is_away_is_tried_again_when_the_alarm_rings(storage: Storage, world: World) -> None:
    task = await storage.produce()
    copy, world.objects.copy = world.objects.copy, _away  # type: ignore[method-assign, assignment]
    await storage.hear(task)
    soon = world.clock.now() + timedelta(seconds=10)
    # Put off, that is: the alarm also rings for nothing, once in twenty seconds.
    await until(lambda: world.jobs.due.get("storage-ingest-test", soon) < soon)
    assert (await storage.now(task)).phase is Phase.STORING
    world.objects.copy = copy  # type: ignore[method-assign]
    world.clock.advance(minutes=5)
    await storage.ring_due()
    await until(lambda: world.bus.types == ["task.done.v1"])


async def _away(_source: str, _target: str) -> None:
    raise DependencyUnavailable("away")


async def test_a_crash_between_saving_and_saying_is_made_good(
    world: World, serve: Serve, settings: StorageSettings
) -> None:
    """The end was saved, and the process died before it could announce it."""

    async def lost(_message: object) -> None:
        raise DependencyUnavailable("the broker is away")

    publish, world.bus.publish = world.bus.publish, lost  # type: ignore[method-assign, assignment]
    async with serve([create(settings, world.outside)]) as running:
        storage = Storage(running, world)
        task = await storage.produce()
        assert (await storage.store(task)).phase is Phase.DONE
    world.bus.publish = publish  # type: ignore[method-assign]
    world.clock.advance(minutes=5)
    async with serve([create(settings, world.outside)]) as running:
        storage = Storage(running, world)
        await until(lambda: any(name.startswith("storage-ingest") for name in world.jobs.due))
        await storage.ring_due()
        await until(lambda: world.bus.types == ["task.done.v1"])


async def test_what_a_dead_process_had_in_hand_is_taken_up_within_half_a_minute(
    world: World, serve: Serve, settings: StorageSettings
) -> None:
    async def never(_source: str, _target: str) -> None:
        await asyncio.Event().wait()

    copy, world.objects.copy = world.objects.copy, never  # type: ignore[method-assign, assignment]
    async with serve([create(settings, world.outside)]) as running:
        task = await Storage(running, world).produce()
        await Storage(running, world).hear(task)
        await settle(world)
    world.objects.copy = copy  # type: ignore[method-assign]
    async with serve([create(settings, world.outside)]) as running:
        storage = Storage(running, world)
        for _ in range(3):
            await until(lambda: any(name.startswith("storage-ingest") for name in world.jobs.due))
            await storage.ring_due()
            await settle(world)
            world.clock.advance(seconds=10)
        await until(lambda: world.bus.types == ["task.done.v1"])


async def test_what_is_in_hand_for_long_is_not_taken_twice(
    world: World, serve: Serve, settings: StorageSettings
) -> None:
    calls = []

    async def slow(source: str, _target: str) -> None:
        calls.append(source)
        await asyncio.Event().wait()

    world.objects.copy = slow  # type: ignore[method-assign, assignment]
    settings = settings.model_copy(update={"storage_hold": timedelta(seconds=0.03)})
    async with serve([create(settings, world.outside)]) as running:
        storage = Storage(running, world)
        task = await storage.produce()
        await storage.hear(task)
        for _ in range(20):
            await asyncio.sleep(0.012)
            world.clock.advance(seconds=0.012)
            await storage.running.ring("storage-ingest-test")
    assert len(calls) == 1


async def test_heard_of_again_it_is_not_taken_by_a_second_storer(storage: Storage, world: World) -> None:
    """The second would see a cancel that the first has not seen, and each would undo what the other does."""
    copies, go_on, copy = 0, asyncio.Event(), world.objects.copy

    async def slowly(source: str, target: str) -> None:
        nonlocal copies
        copies += 1
        await go_on.wait()
        await copy(source, target)

    world.objects.copy = slowly  # type: ignore[method-assign]
    task = await storage.produce()
    await storage.hear(task)
    await until(lambda: copies == 1)
    await storage.hear(await storage.tasks.change(task.id, lambda _found: RequestCancel()))
    await settle(world)
    go_on.set()
    await until(lambda: bool(world.bus.types))
    found = await storage.now(task)
    assert (found.phase, copies) == (Phase.DONE, 1)
    assert found.result is not None and await media_records(world.state).get(found.result.id) == found.result


async def test_a_start_sweeps_what_an_earlier_life_has_left(
    world: World, serve: Serve, settings: StorageSettings
) -> None:
    await world.objects.put("staging/00000000-0000-0000-0000-000000000000/1/output.png", b"x")
    world.clock.advance(hours=2)
    async with serve([create(settings, world.outside)]) as running:
        storage = Storage(running, world)
        await until(lambda: "storage-sweep-test" in world.jobs.due)
        await storage.ring_due()
        assert await storage.keys("staging") == []


async def test_the_sweep_takes_orphans_and_leaves_what_is_under_way(storage: Storage) -> None:
    task = await storage.produce()
    orphan = f"staging/{task.id}/0/output.png"
    stranger = "staging/00000000-0000-0000-0000-000000000000/1/output.png"
    for key in (orphan, stranger):
        await storage.world.objects.put(key, b"x")
    storage.world.clock.advance(hours=2)
    fresh = "staging/00000000-0000-0000-0000-000000000000/2/output.png"
    await storage.world.objects.put(fresh, b"x")
    assert await storage.running.ring("storage-sweep-test") == 204
    assert task.produced is not None
    assert sorted(await storage.keys("staging")) == sorted([task.produced.key, fresh])
    await until(
        lambda: storage.world.jobs.due["storage-sweep-test"] > storage.world.clock.now() + timedelta(minutes=59)
    )
