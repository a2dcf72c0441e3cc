"""Series as their instances are made, withdrawn and followed by the next."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from contracts.records import TaskRecords
from contracts.tasks import Phase, Release, RequestCancel
from contracts.topics import series_key
from submission.domain.series import WITHDRAWN

from tests.conftest import ADMIN_KEY, Serve, World
from tests.unit.submission.driving_series import TEMPLATE, Submission, serving_series


@pytest.fixture(params=[1, 2], ids=["one replica", "two replicas"])
async def submission(
    request: pytest.FixtureRequest, world: World, serve: Serve, database_url: Callable[[str], str]
) -> AsyncIterator[Submission]:
    async with serving_series(world, serve, database_url("submission"), request.param) as found:
        yield found


async def test_ten_instances_are_scheduled(submission: Submission) -> None:
    series_id = await submission.add(title="Dailies", request={**TEMPLATE, "due_after_seconds": 60})
    tasks = submission.open(series_id)
    assert submission.hours(series_id) == list(range(10))
    assert {task.phase for task in tasks} == {Phase.SCHEDULED}
    assert [task.start_at for task in tasks] == [task.series.at for task in tasks if task.series]
    assert {task.due_at - task.start_at for task in tasks if task.due_at and task.start_at} == {timedelta(minutes=1)}
    assert len({task.params["seed"] for task in tasks}) == 10
    assert Counter(submission.world.bus.types) == {"task.accepted.v1": 10}
    submission.check(series_id)


async def test_an_end_makes_the_next(submission: Submission) -> None:
    series_id = await submission.add()
    await submission.end(submission.open(series_id)[0].id)
    await submission.tended()
    assert submission.hours(series_id) == list(range(1, 11))
    [cancelled, *_] = submission.open(series_id)
    await submission.hear(
        await TaskRecords(submission.state, submission.world.clock).change(cancelled.id, lambda _task: RequestCancel())
    )
    await submission.tended()
    assert submission.hours(series_id) == list(range(2, 12))
    submission.check(series_id)


async def test_an_end_that_was_not_heard_is_found_out(submission: Submission) -> None:
    series_id = await submission.add()
    tasks = TaskRecords(submission.state, submission.world.clock)
    await tasks.change(submission.open(series_id)[0].id, lambda _task: RequestCancel())
    await submission.tended(minutes=16)
    assert submission.hours(series_id) == list(range(1, 11))


async def test_a_count_ends_it(submission: Submission) -> None:
    series_id = await submission.add(count=2)
    for task in submission.open(series_id):
        await submission.end(task.id)
    await submission.tended(hours=30)
    assert (len(submission.instances(series_id)), submission.open(series_id)) == (2, [])
    assert (await submission.call("GET", f"/{series_id}"))["state"] == "finished"


async def test_an_edit_is_for_what_has_not_begun(submission: Submission) -> None:
    series_id = await submission.add()
    begun = submission.open(series_id)[0]
    await TaskRecords(submission.state, submission.world.clock).change(begun.id, lambda _task: Release())
    await submission.call("PATCH", f"/{series_id}", json={"every_seconds": 7200})
    await submission.tended()
    assert submission.hours(series_id) == [0, *range(2, 20, 2)]
    withdrawn = [task for task in submission.instances(series_id) if task.error == WITHDRAWN]
    assert len(withdrawn) == 9
    assert Counter(submission.world.bus.types)["task.skipped.v1"] == 9
    submission.check(series_id)


async def test_a_pause_withdraws_and_going_on_makes_anew(submission: Submission) -> None:
    series_id = await submission.add()
    await submission.call("PATCH", f"/{series_id}", json={"paused": True})
    await submission.tended(hours=5)
    assert submission.open(series_id) == []
    await submission.call("PATCH", f"/{series_id}", json={"paused": False})
    await submission.tended()
    assert submission.hours(series_id) == list(range(6, 16))
    submission.check(series_id)


async def test_an_ended_one_is_listed_until_what_had_begun_has_ended(submission: Submission) -> None:
    series_id = await submission.add()
    begun = submission.open(series_id)[0]
    await TaskRecords(submission.state, submission.world.clock).change(begun.id, lambda _task: Release())
    assert (await submission.call("DELETE", f"/{series_id}"))["state"] == "ended"
    await submission.tended()
    assert submission.hours(series_id) == [0]
    assert [found["id"] for found in (await submission.call("GET"))["items"]] == [series_id]
    tasks = TaskRecords(submission.state, submission.world.clock)
    await submission.hear(await tasks.change(begun.id, lambda _task: RequestCancel()))
    await submission.tended()
    assert (await submission.call("GET"))["items"] == []
    assert (await submission.call("GET", f"/{series_id}"))["state"] == "ended"
    assert (await submission.call("DELETE", f"/{series_id}"))["state"] == "ended"


async def test_what_cannot_be_made_says_why_and_is_made_when_it_can_be(submission: Submission) -> None:
    series_id = await submission.add(count=12)
    headers = {"X-Admin-Key": ADMIN_KEY}
    http = submission.replicas[0].http
    await http.patch("/api/v1/admin/projects/p1", json={"active": False}, headers=headers)
    await submission.end(submission.open(series_id)[0].id)
    await submission.tended()
    view = await submission.call("GET", f"/{series_id}")
    assert (view["problem"]["code"], len(view["instances"])) == ("project-inactive", 9)
    await http.patch("/api/v1/admin/projects/p1", json={"active": True}, headers=headers)
    await submission.tended(minutes=16)
    view = await submission.call("GET", f"/{series_id}")
    assert (view["problem"], view["made"]) == (None, 11)
    assert submission.hours(series_id) == list(range(1, 11))


async def test_one_that_cannot_be_read_holds_up_no_other(submission: Submission) -> None:
    first = await submission.add()
    found = await submission.state.get(series_key(first))
    assert found is not None
    await submission.state.replace(series_key(first), b"{}", found.etag)
    await submission.end(submission.open(first)[0].id)
    second = await submission.add()
    assert len(submission.open(second)) == 10
