"""Projects, their keys and the audit, from the point of view of an operator and of who is none."""

import json

import pytest

from tests.conftest import ADMIN_KEY
from tests.contract.conftest import Api


@pytest.mark.parametrize("key", [None, "", "wrong", ADMIN_KEY + "x"])
async def test_opens_to_the_operator_only(api: Api, key: str | None) -> None:
    headers = {"X-API-Key": api.key} | ({"X-Admin-Key": key} if key is not None else {})
    for method, path in (("GET", "/projects"), ("POST", "/projects"), ("GET", "/audit"), ("GET", "/dead-letters")):
        answer = await api.running.http.request(method, f"/api/v1/admin{path}", headers=headers)
        assert answer.status_code == 401


async def test_a_new_project_and_its_key_work(api: Api) -> None:
    assert (await api.admin("POST", "/projects", json={"id": "p3", "name": "Third"})).status_code == 201
    assert (await api.admin("POST", "/projects", json={"id": "p3", "name": "Third"})).status_code == 409
    issued = (await api.admin("POST", "/projects/p3/keys", json={"label": "cms"})).json()
    assert (await api.submit(key=issued["key"])).json()["project_id"] == "p3"
    listed = (await api.admin("GET", "/projects/p3/keys")).json()
    assert [key["id"] for key in listed] == [issued["details"]["id"]]
    assert issued["key"].split("_", 2)[2] not in json.dumps(listed)


@pytest.mark.parametrize("project_id", ["", "..", "a/b", "a||b", "-x", "x" * 65, "ü"])
async def test_a_project_id_must_be_safe_in_keys_and_paths(api: Api, project_id: str) -> None:
    answer = await api.admin("POST", "/projects", json={"id": project_id, "name": "x"})
    assert answer.status_code == 422


async def test_every_action_is_written_down_without_secrets(api: Api) -> None:
    await api.admin("POST", "/projects", json={"id": "p3", "name": "Third"})
    issued = (await api.admin("POST", "/projects/p3/keys", json={})).json()
    await api.admin("DELETE", f"/projects/p3/keys/{issued['details']['id']}")
    await api.admin("PATCH", "/projects/p3", json={"active": False})
    audit = (await api.admin("GET", "/audit")).json()
    assert [entry["action"] for entry in audit] == ["project.suspend", "key.revoke", "key.create", "project.create"]
    assert audit[0]["before"]["active"] is True
    assert audit[0]["after"]["active"] is False
    assert issued["key"].split("_", 2)[2] not in json.dumps(audit)
    assert "digest" not in json.dumps(audit)
