"""Two replicas of submission over one database, one state store and one bus."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from chassis.database import Database
from contracts.events import TaskChanged, parse
from contracts.tasks import Phase
from contracts.testing.examples import NOON, a_task
from submission.adapters.outbox import SqlOutbox
from submission.adapters.read_model import SqlReadModel
from submission.adapters.tables import Table
from submission.app import create
from submission.domain import TaskFilter
from submission.settings import SubmissionSettings

from tests.conftest import ADMIN_KEY, Running, Serve, World, settle


@dataclass
class Replicas:
    world: World
    key: str
    first: Running
    second: Running

    async def submit(self, running: Running) -> str:
        body = {"model": "tiny-image", "params": {"prompt": "a red circle"}}
        answer = await running.http.post("/api/v1/tasks/submit", json=body, headers={"X-API-Key": self.key})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def ring_both(self, job: str) -> None:
        await settle(self.world)
        rings = [running.ring(f"submission-{job}-{name}") for running in (self.first, self.second) for name in "ab"]
        assert set(await asyncio.gather(*rings)) == {204}

    async def hear_back(self) -> None:
        """Nothing is left in the outbox."""
        for message in self.world.bus.messages:
            assert await self.first.deliver(message) == "SUCCESS"

    @property
    def announced(self) -> Counter[str]:
        events = [parse(message.event) for message in self.world.bus.messages]
        return Counter(event.task.id for event in events if isinstance(event, TaskChanged))


@pytest.fixture
async def replicas(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Replicas]:
    first, second = (
        SubmissionSettings(
            admin_key=ADMIN_KEY, submission_database=database_url("submission"), media_url="memory:///", replica=name
        )
        for name in "ab"
    )
    key = await world.add_project("p1", "k1")
    async with serve([create(first, world.outside)]) as a, serve([create(second, world.outside)]) as b:
        yield Replicas(world, key, a, b)


async def test_what_was_not_heard_is_announced_again_by_one_of_them(replicas: Replicas) -> None:
    tasks = {await replicas.submit(running) for running in (replicas.first, replicas.second) for _ in range(10)}
    assert replicas.announced == Counter(tasks)
    replicas.world.clock.advance(seconds=6)
    await replicas.ring_both("outbox")
    assert replicas.announced == Counter([*tasks, *tasks])


async def test_what_was_quiet_for_long_is_announced_again_by_one_of_them(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.handlers.reconciling.AT_ONCE", 3)
    tasks = {await replicas.submit(running) for running in (replicas.first, replicas.second) for _ in range(3)}
    await replicas.hear_back()
    replicas.world.bus.messages.clear()
    replicas.world.clock.advance(minutes=20)
    await replicas.ring_both("sweep")
    first = replicas.announced
    assert len(first) == first.total() == 3
    replicas.world.clock.advance(minutes=6)
    await replicas.ring_both("sweep")
    assert replicas.announced == Counter(tasks)


async def test_what_one_accepts_the_other_lists_and_cancels(replicas: Replicas) -> None:
    task_id = await replicas.submit(replicas.first)
    headers = {"X-API-Key": replicas.key}
    listed = (await replicas.second.http.get("/api/v1/projects/p1/tasks", headers=headers)).json()
    assert [task["id"] for task in listed["items"]] == [task_id]
    assert (await replicas.second.http.delete(f"/api/v1/tasks/{task_id}/cancel", headers=headers)).status_code == 200


async def test_a_request_that_reaches_both_is_one_task(replicas: Replicas) -> None:
    body = {"model": "tiny-image", "params": {"prompt": "a red circle"}}
    headers = {"X-API-Key": replicas.key, "Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(
            running.http.post("/api/v1/tasks/submit", json=body, headers=headers)
            for running in (replicas.first, replicas.second)
            for _ in range(5)
        )
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(replicas.announced) == 1


@pytest.fixture
async def database(database_url: Callable[[str], str]) -> AsyncIterator[Database]:
    database = Database(database_url("submission"), Table.metadata)
    async with database.opened():
        yield database


async def test_who_repeats_an_announcement_does_not_forget_what_another_is_about_to_announce(
    database: Database,
) -> None:
    outbox, task, until = SqlOutbox(database), a_task(), NOON + timedelta(seconds=5)
    await outbox.add(task, 1, NOON)
    [taken] = await outbox.take(NOON, until, 10)
    await outbox.add(task, 2, NOON + timedelta(seconds=6))
    await outbox.keep_as_read(taken, until)
    await outbox.remove(task.id, 1)
    assert await outbox.next_due() is not None


async def test_what_was_announced_for_a_save_that_never_happened_is_let_go_of(database: Database) -> None:
    outbox, task, until = SqlOutbox(database), a_task(), NOON + timedelta(seconds=5)
    await outbox.add(task, 2, NOON)
    [taken] = await outbox.take(NOON, until, 10)
    await outbox.keep_as_read(taken, until)
    await outbox.remove(task.id, 1)
    assert await outbox.next_due() is None


async def test_a_correction_does_not_take_back_what_was_heard_meanwhile(database: Database) -> None:
    read_model, task = SqlReadModel(database), a_task()
    await read_model.record(task, "1", "task.accepted.v1")
    [(task_id, heard_seq)] = await read_model.quiet_since(NOON + timedelta(days=1), "", 10)
    newer = task.model_copy(update={"seq": 2, "phase": Phase.CANCELLED})
    await read_model.record(newer, "2", "task.cancelled.v1")
    await read_model.correct(task, heard_seq)
    page = await read_model.list("p1", TaskFilter(), 10, None)
    assert [(found.id, found.phase) for found in page.tasks] == [(task_id, Phase.CANCELLED)]
