"""What is accepted is announced until it has been heard, whatever fails in between."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from contracts.catalog import Catalog
from contracts.errors import DependencyUnavailable
from contracts.events import CloudEvent, Message, TaskChanged, TaskRejected, dead_letter, parse, task_changed
from contracts.identifiers import task_id_for
from contracts.records import TaskRecords, project_records
from contracts.tasks import Task
from contracts.testing.examples import NOON, a_task
from contracts.topics import DEAD_LETTERS, TASK_EVENTS, TASK_REQUESTS
from submission.app import create
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, Running, Serve, World, settle, until

ALARM = "submission-outbox-test"


@dataclass
class Submission:
    running: Running
    world: World
    key: str

    async def submit(self, idempotency_key: str | None = None) -> httpx.Response:
        body = {"model": "tiny-image", "params": {"prompt": "a red circle"}}
        headers = {"X-API-Key": self.key} | ({"Idempotency-Key": idempotency_key} if idempotency_key else {})
        return await self.running.http.post("/api/v1/tasks/submit", json=body, headers=headers)

    async def act(self, method: str, task_id: str, action: str) -> int:
        path = f"/api/v1/tasks/{task_id}/{action}"
        return (await self.running.http.request(method, path, headers={"X-API-Key": self.key})).status_code

    async def request(self, event_id: str, project_id: str = "p1", **data: Any) -> str:
        wanted = {"project_id": project_id, "model": "tiny-image", "params": {"prompt": "a red circle"}} | data
        event = CloudEvent(id=event_id, source="/cms", type="task.requested.v1", data=wanted)
        return await self.running.deliver(Message(TASK_REQUESTS, project_id, event))

    async def task(self, task_id: str) -> Task | None:
        return await TaskRecords(self.world.state, self.world.clock).get(task_id)

    async def time_passes(self) -> None:
        """Until the outbox's alarm has rung once more, if it is set."""
        await settle(self.world)
        self.world.clock.advance(seconds=6)
        if self.world.jobs.due.pop(ALARM, None) is not None:
            assert await self.running.ring(ALARM) == 204

    async def bus_delivers(self) -> None:
        """What was published comes back to its publisher."""
        for message in [message for message in self.world.bus.messages if message.topic is TASK_EVENTS]:
            assert await self.running.deliver(message) == "SUCCESS"

    @property
    def announced(self) -> list[tuple[str, int]]:
        events = [parse(message.event) for message in self.world.bus.messages if message.topic is TASK_EVENTS]
        return [(event.task.id, event.task.seq) for event in events if isinstance(event, TaskChanged)]

    @property
    def rejections(self) -> list[TaskRejected]:
        events = [parse(message.event) for message in self.world.bus.messages if message.topic is TASK_EVENTS]
        return [event for event in events if isinstance(event, TaskRejected)]


@pytest.fixture
async def submission(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Submission]:
    settings = SubmissionSettings(
        admin_key=ADMIN_KEY, submission_database=database_url("submission"), media_url="memory:///", replica="test"
    )
    key = await world.add_project("p1", "k1")
    async with serve([create(settings, world.outside)]) as running:
        started = Submission(running, world, key)
        await until(lambda: ALARM in world.jobs.due)
        await started.time_passes()
        yield started


@contextmanager
def away(port: object, method: str) -> Iterator[None]:
    async def refuse(*_anything: object) -> None:
        raise DependencyUnavailable("away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(port, method, refuse)
        yield


async def test_a_request_on_the_bus_becomes_one_task_however_often_it_comes(submission: Submission) -> None:
    assert [await submission.request("shot-12") for _ in range(3)] == ["SUCCESS"] * 3
    assert submission.announced == [(task_id_for("p1", "shot-12"), 1)]


async def test_the_same_id_in_another_project_is_another_task(submission: Submission) -> None:
    await submission.world.add_project("p2", "k2")
    await submission.request("shot-12")
    await submission.request("shot-12", project_id="p2")
    assert len({task_id for task_id, _seq in submission.announced}) == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model": "no-such-model"}, "invalid-request"),
        ({"params": {"prompt": "x", "steps": 10_000}}, "invalid-request"),
        ({"project_id": "unknown"}, "not-found"),
    ],
)
async def test_a_request_that_cannot_be_carried_out_is_answered(
    submission: Submission, change: dict[str, Any], code: str
) -> None:
    assert await submission.request("shot-12", client_ref="42", **change) == "SUCCESS"
    [rejected] = submission.rejections
    assert (rejected.request_id, rejected.client_ref, rejected.problem.code) == ("shot-12", "42", code)
    assert submission.announced == []


async def test_the_same_id_with_another_request_is_answered_with_a_rejection(submission: Submission) -> None:
    await submission.request("shot-12")
    await submission.request("shot-12", params={"prompt": "a blue circle"})
    assert [rejected.problem.code for rejected in submission.rejections] == ["idempotency-mismatch"]
    assert len(submission.announced) == 1


async def test_what_was_accepted_is_not_rejected_when_it_comes_again_to_a_suspended_project(
    submission: Submission,
) -> None:
    await submission.request("shot-12")
    projects = project_records(submission.world.state)
    await projects.change("p1", lambda project: project.model_copy(update={"active": False}))
    await submission.request("shot-12")
    assert submission.rejections == []


def without_the_model(catalog: Catalog) -> Catalog:
    return catalog.model_copy(update={"models": tuple(one for one in catalog.models if one.key != "tiny-image")})


def with_other_defaults(catalog: Catalog) -> Catalog:
    entry = catalog["tiny-image"]
    fewer = entry.parameters["steps"].model_copy(update={"default": 3})
    changed = entry.model_copy(update={"parameters": {**entry.parameters, "steps": fewer}})
    return catalog.model_copy(update={"models": (changed, *without_the_model(catalog).models)})


@pytest.mark.parametrize("change", [without_the_model, with_other_defaults])
async def test_what_was_accepted_is_met_again_whatever_the_catalog_has_become(
    submission: Submission, serve: Serve, database_url: Callable[[str], str], change: Callable[[Catalog], Catalog]
) -> None:
    await submission.request("shot-12")
    [(task_id, _seq)] = submission.announced
    outside = replace(submission.world.outside, catalog=change(submission.world.catalog))
    settings = SubmissionSettings(
        admin_key=ADMIN_KEY, submission_database=database_url("submission"), media_url="memory:///", replica="next"
    )
    async with serve([create(settings, outside)]) as running:
        upgraded = replace(submission, running=running)
        await upgraded.request("shot-12")
        answer = await upgraded.submit("shot-12")
    assert (answer.status_code, answer.json()["id"]) == (202, task_id)
    assert submission.rejections == []


async def test_a_request_waits_while_the_state_store_is_away(submission: Submission) -> None:
    with away(submission.world.state, "create"):
        assert await submission.request("shot-12") == "RETRY"
    assert await submission.request("shot-12") == "SUCCESS"
    assert submission.announced == [(task_id_for("p1", "shot-12"), 1)]


async def test_an_announcement_is_repeated_until_it_is_heard(submission: Submission) -> None:
    await submission.submit()
    await submission.time_passes()
    await submission.time_passes()
    [first, *more] = submission.announced
    assert more == [first, first]
    await submission.bus_delivers()
    await submission.time_passes()
    await submission.time_passes()
    assert len(submission.announced) == 3


async def test_what_could_not_be_announced_is_announced_later(submission: Submission) -> None:
    with away(submission.world.bus, "publish"):
        assert (await submission.submit()).status_code == 202
    assert submission.announced == []
    await submission.time_passes()
    assert len(submission.announced) == 1


async def test_a_crash_before_the_record_was_written_is_made_good(submission: Submission) -> None:
    """The client was told to try again; should it not, the task is made all the same."""
    with away(submission.world.state, "create"):
        assert (await submission.submit()).status_code == 503
    await submission.time_passes()
    [(task_id, _seq)] = submission.announced
    assert await submission.task(task_id) is not None


async def test_what_has_been_quiet_for_long_is_announced_again(submission: Submission) -> None:
    """Somebody has lost what it had heard; what has ended concerns nobody any more."""
    open_task, ended = [(await submission.submit()).json()["id"] for _ in range(2)]
    await submission.act("DELETE", ended, "cancel")
    await submission.bus_delivers()
    before = len(submission.announced)
    await settle(submission.world)
    submission.world.clock.advance(minutes=20)
    assert await submission.running.ring("submission-sweep-test") == 204
    assert submission.announced[before:] == [(open_task, 1)]
    await settle(submission.world)
    assert "submission-sweep-test" in submission.world.jobs.due


async def test_a_lie_about_a_task_is_put_right_from_its_record(submission: Submission) -> None:
    task_id = (await submission.submit()).json()["id"]
    record = await submission.task(task_id)
    assert record is not None
    lie = record.model_copy(update={"seq": 999, "title": "forged"})
    assert await submission.running.deliver(task_changed(lie, "somebody")) == "SUCCESS"
    submission.world.clock.advance(minutes=20)
    assert await submission.running.ring("submission-sweep-test") == 204
    listed = await submission.running.http.get("/api/v1/projects/p1/tasks", headers={"X-API-Key": submission.key})
    assert [(task["seq"], task["title"]) for task in listed.json()["items"]] == [(1, None)]


async def test_an_impossible_wish_does_not_lose_the_announcement_that_is_still_due(submission: Submission) -> None:
    task_id = (await submission.submit()).json()["id"]
    assert await submission.act("POST", task_id, "retry") == 409
    await submission.time_passes()
    assert submission.announced == [(task_id, 1), (task_id, 1)]


async def test_a_wish_made_twice_is_announced_once(submission: Submission) -> None:
    task_id = (await submission.submit()).json()["id"]
    assert [await submission.act("DELETE", task_id, "cancel") for _ in range(2)] == [200, 200]
    assert submission.announced == [(task_id, 1), (task_id, 2)]


async def test_a_change_that_could_not_be_announced_is_announced_later(submission: Submission) -> None:
    task_id = (await submission.submit()).json()["id"]
    await submission.bus_delivers()
    with away(submission.world.bus, "publish"):
        assert await submission.act("DELETE", task_id, "cancel") == 200
    await submission.time_passes()
    assert submission.announced[-1] == (task_id, 2)


@pytest.mark.parametrize(
    ("body", "topic"), [(b"not json", "?"), (b'{"topic": "task-events", "data": 1}', "task-events"), (b"[1]", "?")]
)
async def test_what_daprd_dead_letters_is_kept_as_it_was(submission: Submission, body: bytes, topic: str) -> None:
    for _ in range(2):
        assert await submission.running.deliver_raw("events", DEAD_LETTERS.name, body) == "SUCCESS"
    answer = await submission.running.http.get("/api/v1/admin/dead-letters", headers={"X-Admin-Key": ADMIN_KEY})
    [letter] = answer.json()
    assert (letter["topic"], letter["event"]) == (topic, body.decode())


async def test_dead_letters_are_counted_by_a_topic_that_there_is(submission: Submission) -> None:
    """What daprd forwards says itself which topic it is of."""
    for topic in ("task-events", "task-events", "invented-1", "invented-2"):
        await submission.running.deliver(dead_letter("storage", topic, "a reason", b"{}", NOON))
    told = (await submission.running.http.get("/metrics")).text
    assert 'movie_tasks_dead_letters_total{topic="task-events"} 2.0' in told
    assert 'movie_tasks_dead_letters_total{topic="reminders"} 0.0' in told, "a rate needs a value before the first"
    assert 'movie_tasks_dead_letters_total{topic="other"} 2.0' in told
    assert "invented" not in told


async def test_a_dead_letter_can_hold_any_bytes(submission: Submission) -> None:
    body = b'{"topic": "task-\\u0000\\ud800", "data": "a\0b\xff"}'
    assert await submission.running.deliver_raw("events", DEAD_LETTERS.name, body) == "SUCCESS"
    told = dead_letter("storage", "task-events", "bug: '\0'", b"a\0b", NOON)
    assert await submission.running.deliver(told) == "SUCCESS"
    answer = await submission.running.http.get("/api/v1/admin/dead-letters", headers={"X-Admin-Key": ADMIN_KEY})
    assert {letter["app"] for letter in answer.json()} == {"?", "storage"}


async def test_a_number_that_nobody_counts_to_is_no_reason_to_stumble(submission: Submission) -> None:
    task_id = (await submission.submit()).json()["id"]
    forged = a_task(id=task_id, project_id="p1", seq=2**40, attempt=2**40)
    assert await submission.running.deliver(task_changed(forged, "test")) == "SUCCESS"
    assert not [message for message in submission.world.bus.messages if message.topic is DEAD_LETTERS]
