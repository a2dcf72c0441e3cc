"""Previews as links open them: while the task runs, its own only, and nothing else."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from chassis.preview_links import PURPOSE, Previewed, PreviewLinks
from chassis.sealed import Seal
from contracts.errors import DependencyUnavailable
from contracts.records import TaskRecords
from contracts.tasks import Phase, Task
from contracts.testing.examples import NOON, a_task_in
from contracts.topics import preview_key, staging_key
from cryptography.fernet import Fernet
from storage.app import create
from storage.handlers.previewing import LARGEST_PREVIEW
from storage.settings import StorageSettings

from tests.conftest import Running, Serve, World

KEYS, LINK_KEYS = Fernet.generate_key().decode(), Fernet.generate_key().decode()
LINKS = PreviewLinks(KEYS)
TASK = a_task_in(Phase.GENERATING)
PICTURE = b"RIFF a small picture"


def link_to(task: Task, **changes: str) -> str:
    claims = {"project_id": task.project_id, "task_id": task.id, "attempt": str(task.attempt)} | changes
    return LINKS.url(Previewed(**claims), NOON)


def token_of(url: str) -> str:
    return url.partition("?link=")[2]


@dataclass
class Api:
    running: Running
    world: World
    key: str

    async def get(self, url: str, **options: object) -> httpx.Response:
        return await self.running.http.get(url, **options)  # type: ignore[arg-type]


async def serving(
    world: World, serve: Serve, tmp_path: Path, database: str, preview_link_keys: str | None
) -> AsyncIterator[Api]:
    settings = StorageSettings(
        storage_database=database,
        storage_scratch=tmp_path / "scratch",
        media_link_keys=LINK_KEYS,
        preview_link_keys=preview_link_keys,
        media_url="memory:///",
        replica="test",
    )
    key = await world.add_project("p1", "k1")
    await world.add_project("p2", "k2")
    await TaskRecords(world.state, world.clock).create(TASK)
    await world.objects.put(preview_key(TASK.id, TASK.attempt), PICTURE)
    async with serve([create(settings, world.outside)]) as running:
        yield Api(running, world, key)


@pytest.fixture
async def api(world: World, serve: Serve, tmp_path: Path, database_url: Callable[[str], str]) -> AsyncIterator[Api]:
    async for found in serving(world, serve, tmp_path, database_url("storage"), f"{KEYS}"):
        yield found


async def test_a_link_opens_the_picture_and_nothing_keeps_it(api: Api) -> None:
    answer = await api.get(link_to(TASK))
    assert (answer.status_code, answer.content) == (200, PICTURE)
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_link_is_short_lived(api: Api) -> None:
    url = link_to(TASK)
    api.world.clock.advance(seconds=59)
    assert (await api.get(url)).status_code == 200
    api.world.clock.advance(seconds=1)
    assert (await api.get(url)).status_code == 401


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.terminal or phase.value == "storing"])
async def test_the_picture_is_not_there_any_more_when_the_task_does_not_run(api: Api, phase: Phase) -> None:
    task = a_task_in(phase, id="00000000-0000-4000-8000-000000000001")
    await TaskRecords(api.world.state, api.world.clock).create(task)
    await api.world.objects.put(preview_key(task.id, task.attempt), PICTURE)
    assert (await api.get(link_to(task))).status_code == 404


class TestAttackers:
    @pytest.mark.parametrize(
        "claims",
        [
            {"project_id": "p2"},
            {"project_id": ""},
            {"attempt": "7"},
            {"attempt": "0"},
            {"attempt": "01"},
            {"attempt": "1/../../other/1"},
            {"attempt": ""},
        ],
    )
    async def test_even_a_good_seal_opens_what_the_record_agrees_to_only(
        self, api: Api, claims: dict[str, str]
    ) -> None:
        """A worker that lies about whose task it is has notification make such links."""
        assert (await api.get(link_to(TASK, **claims))).status_code == 404

    async def test_a_link_is_for_its_own_task(self, api: Api) -> None:
        theirs = a_task_in(Phase.GENERATING, id="00000000-0000-4000-8000-000000000002", project_id="p2")
        await TaskRecords(api.world.state, api.world.clock).create(theirs)
        await api.world.objects.put(preview_key(theirs.id, theirs.attempt), b"their secret")
        answer = await api.get(f"/api/v1/media/previews/{theirs.id}", params={"link": token_of(link_to(TASK))})
        assert answer.status_code == 401
        assert b"secret" not in answer.content
        # Nor does claiming their task with one's own project, should a worker have said so.
        assert (await api.get(link_to(theirs, project_id="p1"))).status_code == 404

    @pytest.mark.parametrize("task_id", [f"{TASK.id}/", f"../{TASK.id}", "..", "", f"{TASK.id}%00", "%2e%2e"])
    async def test_a_path_that_is_no_task(self, api: Api, task_id: str) -> None:
        answer = await api.get(f"/api/v1/media/previews/{task_id}?link={token_of(link_to(TASK))}")
        assert answer.status_code in (307, 401, 404, 405)
        assert answer.content != PICTURE

    @pytest.mark.parametrize("token", ["", "x", "gAAAAA", "a" * 5000])
    async def test_what_is_no_link(self, api: Api, token: str) -> None:
        answer = await api.get(f"/api/v1/media/previews/{TASK.id}", params={"link": token})
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_no_key_opens_a_preview(self, api: Api) -> None:
        url = f"/api/v1/media/previews/{TASK.id}"
        assert (await api.get(url, headers={"X-API-Key": api.key})).status_code == 401
        assert (await api.get(url, params={"api_key": api.key})).status_code == 401

    async def test_what_others_sealed(self, api: Api) -> None:
        claims = {"project_id": "p1", "task_id": TASK.id, "attempt": str(TASK.attempt)}
        for keys, purpose in (
            (Fernet.generate_key().decode(), PURPOSE),
            (KEYS, "media-link"),
            (KEYS, "live ticket"),
            (LINK_KEYS, PURPOSE),
            (LINK_KEYS, "media-link"),
        ):
            token = Seal(keys, purpose).seal(claims, NOON.replace(year=2030))
            answer = await api.get(f"/api/v1/media/previews/{TASK.id}", params={"link": token})
            assert answer.status_code == 401, purpose

    async def test_a_link_opens_no_media(self, api: Api) -> None:
        token = token_of(link_to(TASK))
        await api.world.objects.put(staging_key(TASK.id, TASK.attempt, "png"), b"unfinished")
        for path in (TASK.id, f"{TASK.id}/thumbnail", f"{TASK.id}/manifest"):
            assert (await api.get(f"/api/v1/media/{path}", params={"link": token})).status_code == 401

    async def test_a_worker_that_puts_something_large_there_fills_no_memory(self, api: Api) -> None:
        await api.world.objects.put(preview_key(TASK.id, TASK.attempt), b"x" * (LARGEST_PREVIEW + 1))
        assert (await api.get(link_to(TASK))).status_code == 404


async def test_a_preview_that_was_not_put_there_is_not_found(api: Api) -> None:
    await api.world.objects.delete(preview_key(TASK.id, TASK.attempt))
    assert (await api.get(link_to(TASK))).status_code == 404


async def test_a_store_that_is_away_is_said_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_key: str) -> None:
        raise DependencyUnavailable("the state store is away")

    monkeypatch.setattr(api.world.state, "get", away)
    assert (await api.get(link_to(TASK))).status_code == 503


async def test_keys_are_changed_without_a_gap(
    world: World, serve: Serve, tmp_path: Path, database_url: Callable[[str], str]
) -> None:
    newer = Fernet.generate_key().decode()
    async for api in serving(world, serve, tmp_path, database_url("storage"), f"{newer},{KEYS}"):
        assert (await api.get(link_to(TASK))).status_code == 200


async def test_without_keys_nothing_opens(
    world: World, serve: Serve, tmp_path: Path, database_url: Callable[[str], str]
) -> None:
    async for api in serving(world, serve, tmp_path, database_url("storage"), None):
        assert (await api.get(link_to(TASK))).status_code == 404
