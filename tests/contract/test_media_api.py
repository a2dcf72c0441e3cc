"""Every endpoint of storage, from the point of view of who calls it."""

import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from chassis.sealed import Seal
from contracts.errors import DependencyUnavailable
from contracts.testing.examples import NOON
from cryptography.fernet import Fernet
from PIL import Image
from storage.app import create
from storage.settings import StorageSettings

from tests.conftest import Running, Serve, World

LINK_KEY = Fernet.generate_key().decode()
UNKNOWN = "00000000-0000-0000-0000-000000000000"


def png(size: tuple[int, int] = (64, 48)) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, "red").save(written, "PNG")
    return written.getvalue()


@dataclass
class Api:
    running: Running
    key: str
    stranger: str

    async def upload(
        self, content: bytes, content_type: str = "image/png", name: str = "x.png", key: str | None = None
    ) -> httpx.Response:
        return await self.running.http.post(
            "/api/v1/media",
            files={"file": (name, content, content_type)},
            headers={"X-API-Key": self.key if key is None else key},
        )

    async def get(self, path: str, key: str | None = None, **headers: str) -> httpx.Response:
        auth = {"X-API-Key": self.key if key is None else key}
        return await self.running.http.get(f"/api/v1/media{path}", headers=auth | headers)


@pytest.fixture
def settings(tmp_path: Path, database_url: Callable[[str], str]) -> StorageSettings:
    return StorageSettings(
        storage_database=database_url("storage"),
        storage_scratch=tmp_path / "scratch",
        media_link_keys=LINK_KEY,
        media_url="memory:///",
        replica="test",
    )


@pytest.fixture
async def api(world: World, serve: Serve, settings: StorageSettings) -> AsyncIterator[Api]:
    settings = settings.model_copy(update={"storage_largest_upload": 20_000})
    key, stranger = await world.add_project("p1", "k1"), await world.add_project("p2", "k2")
    async with serve([create(settings, world.outside)]) as running:
        yield Api(running, key, stranger)


@pytest.fixture
async def stored(api: Api) -> dict[str, Any]:
    answer = await api.upload(png())
    assert answer.status_code == 201, answer.text
    media: dict[str, Any] = answer.json()
    return media


async def test_an_upload_is_looked_into_and_given_back(api: Api, stored: dict[str, Any]) -> None:
    assert (stored["medium"], stored["width"], stored["height"]) == ("image", 64, 48)
    assert stored["size"] == len(png())
    assert (await api.get(f"/{stored['id']}")).content == png()
    assert (await api.get(f"/{stored['id']}/details")).json() == stored
    assert (await api.get(f"/{stored['id']}/thumbnail")).headers["content-type"] == "image/webp"
    assert stored["manifest_url"] is None
    assert (await api.get(f"/{stored['id']}/manifest")).status_code == 404


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"", "image/png", 415),
        (b"PK\x03\x04 a zip", "image/png", 415),
        (b"PK\x03\x04 a zip", "application/zip", 415),
        (b"<svg onload='alert(1)'/>", "image/svg+xml", 415),
        (b"#EXTM3U\nfile:///etc/passwd", "video/mp4", 415),
        (png(), "image/jpeg", 415),
        (png(), "audio/wav", 415),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 30_000, "image/png", 413),
        (b"x" * 200_000, "image/png", 413),
    ],
)
async def test_what_must_not_come_in_is_refused(api: Api, content: bytes, content_type: str, status: int) -> None:
    answer = await api.upload(content, content_type)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_upload_without_a_file_is_refused(api: Api) -> None:
    headers = {"X-API-Key": api.key}
    assert (await api.running.http.post("/api/v1/media", headers=headers)).status_code == 422
    assert (await api.running.http.post("/api/v1/media", headers=headers, json={})).status_code == 422


async def test_nothing_is_read_from_whoever_has_no_key(api: Api) -> None:
    read: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while len(read) < 1000:
            read.append(1)
            yield b"x"

    answer = await api.running.http.post(
        "/api/v1/media", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == 401


async def test_only_an_upload_may_be_large(world: World, serve: Serve, settings: StorageSettings) -> None:
    """Whatever else is sent is read, and taken apart, before anybody looks at the key."""
    large = b'{"x": "%s"}' % (b"x" * 300 * 1024)
    json = {"Content-Type": "application/json"}
    async with serve([create(settings, world.outside)]) as running:
        for path in ("/x/link", "/", "/x"):
            answer = await running.http.post(f"/api/v1/media{path}", content=large, headers=json)
            assert answer.status_code == 413, path
        assert (await running.http.post("/api/v1/media", content=large, headers=json)).status_code == 401


async def test_a_file_name_decides_nothing(api: Api) -> None:
    answer = await api.upload(png(), name="../../../etc/passwd\x00.html")
    assert answer.status_code in (201, 400, 422)
    if answer.status_code == 201:
        assert answer.json()["url"].startswith("/api/v1/media/")


@pytest.mark.parametrize("part", ["", "/thumbnail", "/manifest", "/details"])
async def test_another_projects_file_looks_like_none(api: Api, stored: dict[str, Any], part: str) -> None:
    foreign = await api.get(f"/{stored['id']}{part}", key=api.stranger)
    unknown = await api.get(f"/{UNKNOWN}{part}", key=api.stranger)
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.text.replace(stored["id"], "ID") == unknown.text.replace(UNKNOWN, "ID")


@pytest.mark.parametrize("media_id", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "x||y", "%00", "a" * 2000])
async def test_an_id_that_is_a_path_finds_nothing(api: Api, media_id: str) -> None:
    assert (await api.get(f"/{media_id}")).status_code == 404


async def test_a_browser_may_send_its_key_in_the_address_to_fetch_and_only_to_fetch(
    api: Api, stored: dict[str, Any]
) -> None:
    http = api.running.http
    assert (await http.get(f"{stored['url']}?api_key={api.key}")).status_code == 200
    assert (await http.get(f"{stored['thumbnail_url']}?api_key={api.key}")).status_code == 200
    assert (await http.get(f"{stored['url']}?api_key={api.stranger}")).status_code == 404
    assert (await http.get(f"{stored['url']}?api_key=wrong")).status_code == 401
    assert (await http.get(stored["url"])).status_code == 401
    assert (await http.get(f"{stored['url']}/details?api_key={api.key}")).status_code == 401
    upload = await http.post(f"/api/v1/media?api_key={api.key}", files={"file": ("x.png", png(), "image/png")})
    assert upload.status_code == 401


class TestLinks:
    async def link(self, api: Api, media_id: str, **wanted: int) -> dict[str, Any]:
        http, headers = api.running.http, {"X-API-Key": api.key}
        answer = await http.post(f"/api/v1/media/{media_id}/link", headers=headers, json=wanted)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def test_open_a_file_and_its_thumbnail_without_a_key(self, api: Api, stored: dict[str, Any]) -> None:
        link = await self.link(api, stored["id"])
        assert api.key not in link["url"]
        assert (await api.running.http.get(link["url"])).content == png()
        assert (await api.running.http.get(link["thumbnail_url"])).headers["content-type"] == "image/webp"
        assert link["manifest_url"] is None
        ranged = await api.running.http.get(link["url"], headers={"Range": "bytes=0-9"})
        assert (ranged.status_code, ranged.content) == (206, png()[:10])

    async def test_run_out(self, api: Api, world: World, stored: dict[str, Any]) -> None:
        link = await self.link(api, stored["id"], expires_in=60)
        world.clock.advance(seconds=59)
        assert (await api.running.http.get(link["url"])).status_code == 200
        world.clock.advance(seconds=1)
        assert (await api.running.http.get(link["url"])).status_code == 401

    async def test_open_nothing_else(self, api: Api, stored: dict[str, Any]) -> None:
        http, other = api.running.http, (await api.upload(png((8, 8)))).json()
        token = (await self.link(api, stored["id"]))["url"].partition("?link=")[2]
        assert (await http.get(f"{other['url']}?link={token}")).status_code == 401
        assert (await http.get(f"{stored['url']}/details?link={token}")).status_code == 401
        assert (await http.post(f"{stored['url']}/link?link={token}", json={})).status_code == 401
        assert (await http.get(f"{stored['url']}?api_key={token}")).status_code == 401
        assert (await http.get(stored["url"], headers={"X-API-Key": token})).status_code == 401

    @pytest.mark.parametrize("token", ["x", "..", "gAAAAA", "é", "x" * 5000])
    async def test_cannot_be_made_up(self, api: Api, stored: dict[str, Any], token: str) -> None:
        assert (await api.running.http.get(stored["url"], params={"link": token})).status_code == 401
        forged = Seal(Fernet.generate_key().decode(), "media-link").seal({"media": stored["id"]}, NOON)
        assert (await api.running.http.get(stored["url"], params={"link": forged})).status_code == 401

    async def test_are_made_for_ones_own_files_and_not_for_ever(self, api: Api, stored: dict[str, Any]) -> None:
        http, path = api.running.http, f"/api/v1/media/{stored['id']}/link"
        assert (await http.post(path, headers={"X-API-Key": api.stranger}, json={})).status_code == 404
        assert (await http.post(path, json={})).status_code == 401
        for seconds in (0, 59, 86_401, "x", None):
            answer = await http.post(path, headers={"X-API-Key": api.key}, json={"expires_in": seconds})
            assert answer.status_code == 422


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=50-", 206, 50, None),
        ("bytes=-5", 206, -5, None),
        ("bytes=5-4", 200, 0, None),
        ("bytes=0-1,3-4", 200, 0, None),
        ("bytes=999999-", 416, 0, 0),
    ],
)
async def test_ranges(api: Api, stored: dict[str, Any], wanted: str, status: int, start: int, end: int | None) -> None:
    answer = await api.get(f"/{stored['id']}", Range=wanted)
    assert answer.status_code == status
    assert answer.content == png()[start:end]
    if status == 206:
        assert answer.headers["content-range"].endswith(f"/{stored['size']}")
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{stored['size']}"


async def test_what_a_client_has_already_is_not_sent_again(api: Api, stored: dict[str, Any]) -> None:
    tag = (await api.get(f"/{stored['id']}")).headers["etag"]
    again = await api.get(f"/{stored['id']}", **{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    changed = await api.get(f"/{stored['id']}", **{"Range": "bytes=0-9", "If-Range": '"another"'})
    assert changed.status_code == 200


async def test_content_of_others_is_served_safely(api: Api, stored: dict[str, Any]) -> None:
    headers = (await api.get(f"/{stored['id']}")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert "private" in headers["cache-control"]


async def test_head_tells_the_size(api: Api, stored: dict[str, Any]) -> None:
    answer = await api.running.http.head(stored["url"], headers={"X-API-Key": api.key})
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, str(stored["size"]), b"")


async def test_a_file_in_a_store_that_is_away_is_a_problem_and_no_torn_answer(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = (await api.upload(png())).json()

    class Away:
        def __aiter__(self) -> "Away":
            return self

        async def __anext__(self) -> bytes:
            raise DependencyUnavailable("the object store does not answer")

    monkeypatch.setattr(world.objects, "read", lambda *_span: Away())
    answer = await api.get(f"/{media['id']}")
    assert (answer.status_code, answer.json()["code"]) == (503, "dependency-unavailable")
    assert "Retry-After" in answer.headers
