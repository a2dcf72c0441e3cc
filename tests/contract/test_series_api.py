"""Series, from the point of view of who asks for them, and of who should not."""

from typing import Any

import httpx
import pytest
from contracts.media import Medium
from contracts.records import media_records
from contracts.testing.examples import a_task, media_result
from submission.app import create
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, Serve, World, settle
from tests.contract.conftest import Api

UNKNOWN = "00000000-0000-0000-0000-000000000000"
TEMPLATE: dict[str, Any] = {"model": "tiny-image", "params": {"prompt": "a red circle"}}


async def ask(api: Api, *, idempotency_key: str | None = None, **fields: Any) -> httpx.Response:
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    body = {"request": TEMPLATE} | ({} if "every_seconds" in fields else {"cron": "0 9 * * MON-FRI"}) | fields
    answer = await api.call("POST", "/projects/p1/series", headers=headers, json=body)
    await settle(api.world)
    return answer


async def made(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await ask(api, **fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = (await api.call("GET", f"/projects/p1/series/{answer.json()['id']}")).json()
    return found


async def test_what_is_asked_for_has_times_that_a_person_can_check_and_instances(api: Api) -> None:
    series = await made(api, time_zone="Europe/Berlin", title="Dailies", count=12)
    assert (series["state"], series["title"], series["revision"], series["made"]) == ("active", "Dailies", 1, 10)
    assert [time["in_words"] for time in series["next"]][:2] == [
        "Fri 2026-01-02 09:00:00 CET (UTC+0100)",
        "Mon 2026-01-05 09:00:00 CET (UTC+0100)",
    ]
    assert [one["at"] for one in series["instances"]] == [time["at"] for time in series["next"]]
    first = series["instances"][0]
    task = (await api.running.http.get(first["status"], headers={"X-API-Key": api.key})).json()
    assert (task["phase"], task["start_at"]) == ("scheduled", first["at"])
    assert (task["series"]["id"], task["series"]["revision"], task["series"]["at"]) == (series["id"], 1, first["at"])


async def test_a_preview_makes_nothing(api: Api) -> None:
    body = {"request": TEMPLATE, "every_seconds": 3600, "count": 2}
    answer = await api.call("POST", "/projects/p1/series/preview", json=body)
    await settle(api.world)
    assert answer.status_code == 200
    assert [time["at"] for time in answer.json()["next"]] == ["2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"]
    assert (await api.call("GET", "/projects/p1/series")).json() == {"items": [], "next_cursor": None}
    assert api.world.bus.messages == []
    refused = await api.call("POST", "/projects/p1/series/preview", json=body | {"every_seconds": 1})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "every_seconds")


async def test_the_wrong_method_is_told_the_right_ones(api: Api) -> None:
    beside_a_parameter = await api.call("OPTIONS", "/projects/p1/series/preview")
    assert (beside_a_parameter.status_code, beside_a_parameter.headers["allow"]) == (405, "POST")
    series = await api.call("PUT", f"/projects/p1/series/{UNKNOWN}")
    assert series.headers["allow"] == "DELETE, GET, PATCH"


async def test_the_same_key_and_body_meet_the_same_series(api: Api) -> None:
    first, again = await ask(api, idempotency_key="a"), await ask(api, idempotency_key="a")
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    other = await ask(api, idempotency_key="a", count=3)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")
    assert len((await api.call("GET", "/projects/p1/tasks")).json()["items"]) == 10


async def test_series_are_listed_in_pages_the_newest_first(api: Api) -> None:
    ids = []
    for _ in range(3):
        ids.append((await made(api))["id"])
        api.world.clock.advance(seconds=1)
    page = (await api.call("GET", "/projects/p1/series", params={"limit": 2})).json()
    assert [one["id"] for one in page["items"]] == ids[:0:-1]
    assert "next" not in page["items"][0]
    rest = await api.call("GET", "/projects/p1/series", params={"limit": 2, "cursor": page["next_cursor"]})
    assert ([one["id"] for one in rest.json()["items"]], rest.json()["next_cursor"]) == (ids[:1], None)
    bad = await api.call("GET", "/projects/p1/series", params={"cursor": "nonsense"})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "cursor")


async def test_changes(api: Api) -> None:
    path = f"/projects/p1/series/{(await made(api))['id']}"
    changed = (await api.call("PATCH", path, json={"every_seconds": 3600})).json()
    assert (changed["revision"], changed["cron"], changed["every_seconds"]) == (2, None, 3600)
    assert (await api.call("PATCH", path, json={"title": "x"})).json()["revision"] == 2
    paused = (await api.call("PATCH", path, json={"paused": True})).json()
    assert (paused["revision"], paused["state"], paused["next"]) == (3, "paused", [])
    assert (await api.call("PATCH", path, json={})).json()["revision"] == 3
    ended = (await api.call("DELETE", path)).json()
    assert (ended["state"], ended["next"]) == ("ended", [])
    late = await api.call("PATCH", path, json={"paused": False})
    assert (late.status_code, late.json()["code"]) == (409, "illegal-transition")


@pytest.mark.parametrize("change", [{"cron": "0 0 30 2 *"}, {"request": {"model": "none"}}, {"count": 0}])
async def test_a_change_that_cannot_be_changes_nothing(api: Api, change: dict[str, Any]) -> None:
    series = await made(api)
    path = f"/projects/p1/series/{series['id']}"
    assert (await api.call("PATCH", path, json=change)).status_code == 422
    await settle(api.world)
    assert (await api.call("GET", path)).json() == series


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "x" * 100_000}, "cron"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"every_seconds": 0}, "every_seconds"),
        ({"every_seconds": 10**18}, "every_seconds"),
        ({"count": 10**9}, "count"),
        ({"until_at": "2025-01-01T00:00:00Z"}, "until_at"),
        ({"from_at": "9999-12-31T23:59:59Z"}, "from_at"),
        ({"until_at": "2026-01-01T13:00:00Z"}, "until_at"),
        ({"request": {**TEMPLATE, "start_at": "2026-01-02T00:00:00Z"}}, "request.start_at"),
        ({"request": {**TEMPLATE, "model": "none"}}, "request.model"),
        ({"request": {**TEMPLATE, "params": {"prompt": "x", "steps": 10**6}}}, "request.params.steps"),
        ({"request": {"model": "tiny-image-edit", "params": {"prompt": "x"}, "inputs": {"image": UNKNOWN}}},
         "request.inputs.image"),
        ({"request": {**TEMPLATE, "project_id": "p2"}}, "request.project_id"),
        ({"request": {**TEMPLATE, "due_after_seconds": 60, "expires_after_seconds": -1}},
         "request.expires_after_seconds"),
        ({"request": {**TEMPLATE, "reminders": [{"at": "2026-01-02T00:00:00Z"}]}}, "request.reminders.0.at"),
        ({"request": {**TEMPLATE, "reminders": [{"before_due_seconds": 60}]}},
         "request.reminders.0.before_due_seconds"),
        ({"request": {**TEMPLATE, "reminders": 7}}, "request.reminders"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_told_by_field_allowed_and_given(api: Api, fields: dict[str, Any], wrong: str) -> None:
    answer = await ask(api, **fields)
    assert answer.status_code == 422, answer.text
    [problem] = answer.json()["errors"]
    assert problem["field"] == wrong
    assert problem["allowed"]
    assert "given" in problem
    assert (await api.call("GET", "/projects/p1/series")).json()["items"] == []


@pytest.mark.parametrize(
    "body", [{}, {"request": []}, {"request": TEMPLATE, "count": "1"}, {"request": TEMPLATE, "surprise": 1}, []]
)
async def test_what_does_not_follow_the_description(api: Api, body: Any) -> None:
    assert (await api.call("POST", "/projects/p1/series", json=body)).status_code == 422


async def test_another_projects_series_do_not_exist(api: Api) -> None:
    series = await made(api)
    for project in ("p1", "p2"):
        path = f"/projects/{project}/series/{series['id']}"
        for method in ("GET", "PATCH", "DELETE"):
            change: dict[str, Any] = {"json": {"paused": True}} if method == "PATCH" else {}
            answer = await api.call(method, path, key=api.stranger, **change)
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    body: dict[str, Any] = {"request": TEMPLATE, "cron": "* * * * *"}
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/preview")):
        options = {"json": body} if method == "POST" else {}
        assert (await api.call(method, f"/projects/p1/series{path}", key=api.stranger, **options)).status_code == 404
        assert (await api.call(method, f"/projects/p1/series{path}", key="nonsense", **options)).status_code == 401
    assert (await api.call("GET", "/projects/p2/series", key=api.stranger)).json()["items"] == []
    assert (await api.call("GET", f"/projects/p1/series/{series['id']}")).json() == series


async def test_another_projects_media_cannot_be_used(api: Api) -> None:
    own, foreign = (media_result(a_task(project_id=project, medium=Medium.IMAGE)) for project in ("p1", "p2"))
    for media in (own, foreign):
        await media_records(api.world.state).create(media.id, media)
    template = {"model": "tiny-image-edit", "params": {"prompt": "x"}}
    refused = await ask(api, request={**template, "inputs": {"image": foreign.id}})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "request.inputs.image")
    assert len((await made(api, request={**template, "inputs": {"image": own.id}}))["instances"]) == 10


async def test_a_suspended_project_has_no_new_ones(api: Api) -> None:
    await api.admin("PATCH", "/projects/p1", json={"active": False})
    assert (await ask(api)).status_code == 403


async def test_what_can_no_longer_be_made_can_be_paused(api: Api) -> None:
    series = await made(api)
    path = f"/projects/p1/series/{series['id']}"
    await api.admin("PATCH", "/projects/p1", json={"active": False})
    assert (await api.call("PATCH", path, json={"paused": True})).json()["state"] == "paused"
    assert (await api.call("PATCH", path, json={"request": TEMPLATE})).status_code == 403


async def test_a_project_may_have_so_many(world: World, serve: Serve, tmp_path: Any) -> None:
    settings = SubmissionSettings(
        admin_key=ADMIN_KEY,
        submission_database=f"sqlite:///{tmp_path}/submission.db",
        media_url="memory:///",
        replica="test",
        series_per_project=2,
    )
    key, stranger = await world.add_project("p1", "k1"), await world.add_project("p2", "k2")
    async with serve([create(settings, world.outside)]) as running:
        api = Api(running, world, key, stranger)
        first = await made(api, idempotency_key="a")
        await made(api)
        refused = await ask(api)
        assert (refused.status_code, refused.json()["code"]) == (429, "limit-reached")
        assert (await ask(api, idempotency_key="a")).json()["id"] == first["id"]
        await api.call("DELETE", f"/projects/p1/series/{first['id']}")
        await settle(world)
        assert (await ask(api)).status_code == 201


async def test_each_instance_reminds_before_it_is_due(api: Api) -> None:
    request = TEMPLATE | {"due_after_seconds": 3600, "reminders": [{"before_due_seconds": 7200, "note": "soon"}]}
    series = await made(api, request=request, every_seconds=3600, from_at="2026-01-01T12:30:00Z")
    shown = []
    for one in series["instances"][:2]:
        task = (await api.running.http.get(one["status"], headers={"X-API-Key": api.key})).json()
        shown.append([reminder["at"] for reminder in task["reminders"]])
    assert shown == [[], ["2026-01-01T12:30:00Z"]], "the first one's moment has passed before it was made"
