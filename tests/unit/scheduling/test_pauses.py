"""What is paused is not given to workers, and is lost by nobody."""

import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from contracts.errors import DependencyUnavailable, NotFound
from contracts.identifiers import task_id_for
from contracts.pauses import EVERYTHING, Pause, PauseKind, Pauses
from contracts.ports import Versioned
from contracts.records import pauses_records
from contracts.tasks import Phase, Priority, Task
from contracts.testing.examples import NOON
from contracts.topics import pauses_key
from scheduling.app import create

from tests.conftest import Serve, World, until
from tests.unit.scheduling.driving import Scheduling, settings_of

NOTICED_AFTER = 6
"""Seconds; longer than what operators say is remembered."""


@pytest.fixture
async def scheduling(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Scheduling]:
    for project_id in ("p1", "p2"):
        await world.add_project(project_id, f"key-{project_id}")
    async with serve([create(settings_of(database_url("scheduling")), world.outside)]) as running:
        yield Scheduling(running, world)


async def say(scheduling: Scheduling, decide: Callable[[Pauses], Pauses]) -> None:
    records = pauses_records(scheduling.world.state)
    try:
        await records.change(EVERYTHING, decide)
    except NotFound:
        await records.create(EVERYTHING, decide(Pauses()))
    scheduling.world.clock.advance(seconds=NOTICED_AFTER)


async def pause(scheduling: Scheduling, kind: PauseKind, target: str) -> None:
    now = scheduling.world.clock.now()
    await say(scheduling, lambda found: found.paused(Pause(kind=kind, target=target, since=now, by="ada")))


async def resume(scheduling: Scheduling, kind: PauseKind, target: str) -> None:
    now = scheduling.world.clock.now()
    await say(scheduling, lambda found: found.resumed(kind, target, now))


async def accept(scheduling: Scheduling, name: str, project_id: str = "p1", **changes: object) -> Task:
    now = scheduling.world.clock.advance(milliseconds=1)
    fields = {"id": task_id_for(project_id, name), "project_id": project_id, "created_at": now, "failures": 1}
    return await scheduling.accept(**(fields | changes))


async def phase(scheduling: Scheduling, task: Task) -> Phase:
    return (await scheduling.now(task)).phase


@pytest.mark.parametrize(
    ("kind", "target"), [(PauseKind.MEDIUM, "image"), (PauseKind.MODEL, "tiny-image"), (PauseKind.PROJECT, "p1")]
)
async def test_what_is_paused_waits_until_it_is_resumed(scheduling: Scheduling, kind: PauseKind, target: str) -> None:
    task = await accept(scheduling, "1")
    await pause(scheduling, kind, target)
    await scheduling.heartbeat(slots=9)
    assert await phase(scheduling, task) is Phase.QUEUED
    await resume(scheduling, kind, target)
    await scheduling.heartbeat(slots=9)
    assert await phase(scheduling, task) is Phase.ASSIGNED


async def test_a_paused_project_costs_others_nothing(scheduling: Scheduling) -> None:
    own = await accept(scheduling, "1", priority=Priority.HIGH)
    other = await accept(scheduling, "1", "p2", priority=Priority.LOW)
    await pause(scheduling, PauseKind.PROJECT, "p1")
    await scheduling.heartbeat(slots=1)
    assert (await phase(scheduling, own), await phase(scheduling, other)) == (Phase.QUEUED, Phase.ASSIGNED)


async def test_what_runs_goes_on(scheduling: Scheduling) -> None:
    task = await accept(scheduling, "1")
    await scheduling.heartbeat()
    await scheduling.generate(task)
    await pause(scheduling, PauseKind.MEDIUM, "image")
    await scheduling.pass_time(seconds=5)
    assert await phase(scheduling, task) is Phase.GENERATING


async def test_is_not_lost_however_long_it_is_paused(scheduling: Scheduling) -> None:
    """It keeps its owner and a deadline at which it is looked at again; `expires_at` still ends it."""
    kept = await accept(scheduling, "1")
    expiring = await accept(scheduling, "2", expires_at=NOON + timedelta(hours=1))
    await pause(scheduling, PauseKind.MEDIUM, "image")
    for _ in range(10):
        await scheduling.pass_time(minutes=20)
        await scheduling.heartbeat(slots=9)
    assert await phase(scheduling, expiring) is Phase.EXPIRED
    found = await scheduling.now(kept)
    assert (found.phase, found.phase.owner, found.attempt) == (Phase.QUEUED, kept.phase.owner, 0)
    assert scheduling.world.jobs.due, "nobody would look at it again"
    await resume(scheduling, PauseKind.MEDIUM, "image")
    await scheduling.heartbeat(slots=9)
    assert await phase(scheduling, kept) is Phase.ASSIGNED


async def test_who_was_paused_does_not_rise_above_others_for_it(scheduling: Scheduling) -> None:
    await pause(scheduling, PauseKind.PROJECT, "p1")
    old = await accept(scheduling, "old", priority=Priority.LOW)
    await scheduling.pass_time(hours=10)
    fresh = await accept(scheduling, "fresh", "p2")
    await resume(scheduling, PauseKind.PROJECT, "p1")
    await scheduling.heartbeat(slots=1)
    assert (await phase(scheduling, old), await phase(scheduling, fresh)) == (Phase.QUEUED, Phase.ASSIGNED)


async def test_paused_tasks_ask_for_no_workers(scheduling: Scheduling) -> None:
    await accept(scheduling, "1")
    await accept(scheduling, "1", "p2")

    async def backlog() -> float:
        text = (await scheduling.running.http.get("/metrics")).text
        found = re.findall(r'^movie_tasks_backlog_tasks{.*medium="image".*state="queued".*} (.+)$', text, re.MULTILINE)
        return sum(map(float, found))

    assert await backlog() == 2
    await pause(scheduling, PauseKind.PROJECT, "p1")
    assert await backlog() == 1


async def test_who_cannot_read_what_is_paused_starts_nothing(
    scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = scheduling.world.state.get

    async def away(key: str) -> Versioned | None:
        if key == pauses_key(EVERYTHING):
            raise DependencyUnavailable("the state store does not answer")
        return await get(key)

    monkeypatch.setattr(scheduling.world.state, "get", away)
    task = await accept(scheduling, "1")
    await scheduling.heartbeat()
    assert await phase(scheduling, task) is Phase.QUEUED
    monkeypatch.undo()
    await scheduling.heartbeat()
    await until(lambda: bool(scheduling.assignments))
    assert await phase(scheduling, task) is Phase.ASSIGNED
