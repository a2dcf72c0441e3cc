"""A new key in place of one, which goes on working for a while."""

from typing import Any

import httpx
import pytest

from tests.contract.conftest import Api

HOUR = 3600


async def issue(api: Api, **new: Any) -> tuple[str, str]:
    """A key's id and its text."""
    issued = (await api.admin("POST", "/projects/p3/keys", json=new)).json()
    return issued["details"]["id"], issued["key"]


async def rotate(api: Api, key_id: str, project_id: str = "p3", **body: Any) -> httpx.Response:
    return await api.admin("POST", f"/projects/{project_id}/keys/{key_id}/rotate", json=body)


async def works(api: Api, key: str) -> bool:
    return (await api.call("GET", "/projects/p3/queue", key=key)).status_code == 200


@pytest.fixture(autouse=True)
async def a_project(api: Api) -> None:
    assert (await api.admin("POST", "/projects", json={"id": "p3", "name": "Third"})).status_code == 201


async def test_both_work_until_the_old_one_expires_by_itself(api: Api) -> None:
    old_id, old = await issue(api, label="cms")
    answer = await rotate(api, old_id, grace_seconds=HOUR)
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert new["details"]["label"] == "cms"
    assert new["details"]["id"] != old_id
    assert await works(api, old) and await works(api, new["key"])
    api.world.clock.advance(seconds=HOUR + 1)
    assert not await works(api, old)
    assert await works(api, new["key"])


async def test_without_grace_the_old_one_ends_at_once(api: Api) -> None:
    old_id, old = await issue(api)
    await rotate(api, old_id, grace_seconds=0)
    assert not await works(api, old)


async def test_a_key_that_ends_sooner_is_not_prolonged(api: Api) -> None:
    old_id, old = await issue(api, expires_at="2026-01-01T12:10:00Z")
    await rotate(api, old_id, grace_seconds=HOUR)
    api.world.clock.advance(seconds=HOUR / 2)
    assert not await works(api, old)


async def test_what_works_no_more_is_not_brought_back(api: Api) -> None:
    old_id, _ = await issue(api)
    await api.admin("DELETE", f"/projects/p3/keys/{old_id}")
    assert (await rotate(api, old_id)).status_code == 422
    assert len((await api.admin("GET", "/projects/p3/keys")).json()) == 1


async def test_another_projects_key_is_not_found(api: Api) -> None:
    assert (await rotate(api, "k1")).status_code == 404
    assert (await api.call("GET", "/projects/p1/queue")).status_code == 200
    for key_id in ("nothing", "..%2f..", "x" * 500):
        assert (await rotate(api, key_id)).status_code == 404


@pytest.mark.parametrize(
    "body", [{"grace_seconds": -1}, {"grace_seconds": 31 * 86_400}, {"grace_seconds": "1"}, {"x": 1}]
)
async def test_what_is_no_rotation_is_refused(api: Api, body: dict[str, Any]) -> None:
    old_id, _ = await issue(api)
    assert (await rotate(api, old_id, **body)).status_code == 422


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_only_operators_rotate(api: Api, key: str | None) -> None:
    old_id, _ = await issue(api)
    headers = {"X-API-Key": api.key} | ({"X-Admin-Key": key} if key is not None else {})
    path = f"/api/v1/admin/projects/p3/keys/{old_id}/rotate"
    assert (await api.running.http.post(path, headers=headers, json={})).status_code == 401


async def test_the_audit_has_it_and_no_secret(api: Api) -> None:
    old_id, old = await issue(api)
    new = (await rotate(api, old_id, grace_seconds=HOUR)).json()["key"]
    audit = await api.admin("GET", "/audit")
    rotated, created, *_ = audit.json()
    assert (rotated["action"], rotated["target"], created["action"]) == ("key.rotate", old_id, "key.create")
    assert (rotated["before"]["expires_at"], rotated["after"]["expires_at"]) == (None, "2026-01-01T13:00:00Z")
    for key in (old, new):
        assert key.split("_", 2)[2] not in audit.text
    assert "digest" not in audit.text
