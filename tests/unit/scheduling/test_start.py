"""Tasks that wait for a time of day."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from contracts.identifiers import task_id_for
from contracts.tasks import Phase, RequestCancel, Task
from contracts.testing.examples import NOON
from scheduling.app import create

from tests.conftest import Serve, World
from tests.unit.scheduling.driving import Scheduling, settings_of

IN_AN_HOUR = NOON + timedelta(hours=1)


@pytest.fixture
async def scheduling(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Scheduling]:
    async with serve([create(settings_of(database_url("scheduling")), world.outside)]) as running:
        yield Scheduling(running, world)


async def a_planned_one(scheduling: Scheduling, **changes: object) -> Task:
    return await scheduling.accept(
        **{"phase": Phase.SCHEDULED, "start_at": IN_AN_HOUR, "deadline": IN_AN_HOUR} | changes
    )


async def test_waits_for_its_time_and_then_for_a_worker(scheduling: Scheduling) -> None:
    task = await a_planned_one(scheduling)
    await scheduling.pass_time(minutes=59)
    await scheduling.heartbeat()
    assert (await scheduling.now(task)).phase is Phase.SCHEDULED
    assert scheduling.assignments == []
    await scheduling.pass_time(minutes=1)
    assert (await scheduling.now(task)).phase is Phase.QUEUED
    assert "task.queued.v1" in scheduling.announced()
    await scheduling.heartbeat()
    assert [assigned.task_id for assigned in scheduling.assignments] == [task.id]


async def test_has_not_waited_longer_than_what_came_before_its_time(scheduling: Scheduling) -> None:
    planned = await a_planned_one(scheduling)
    scheduling.world.clock.advance(minutes=30)
    now = scheduling.world.clock.now()
    asked = await scheduling.accept(id=task_id_for("p1", "asked"), created_at=now, updated_at=now, phase_since=now)
    await scheduling.pass_time(minutes=31)
    await scheduling.heartbeat()
    await scheduling.heartbeat()
    assert [assigned.task_id for assigned in scheduling.assignments] == [asked.id, planned.id]


async def test_what_was_away_over_its_time_starts_late_rather_than_never(scheduling: Scheduling) -> None:
    task = await a_planned_one(scheduling)
    scheduling.world.clock.advance(hours=5)
    await scheduling.pass_time(seconds=1)
    assert (await scheduling.now(task)).phase is Phase.QUEUED


async def test_what_is_only_heard_of_after_its_time_starts_at_once(scheduling: Scheduling) -> None:
    scheduling.world.clock.advance(hours=2)
    task = await a_planned_one(scheduling)
    await scheduling.pass_time(seconds=1)
    assert (await scheduling.now(task)).phase is Phase.QUEUED


async def test_what_may_no_longer_start_when_somebody_looks_expires(scheduling: Scheduling) -> None:
    task = await a_planned_one(scheduling, expires_at=IN_AN_HOUR + timedelta(minutes=10))
    scheduling.world.clock.advance(hours=5)
    await scheduling.pass_time(seconds=1)
    assert (await scheduling.now(task)).phase is Phase.EXPIRED


async def test_what_is_cancelled_before_its_time_never_starts(scheduling: Scheduling) -> None:
    task = await a_planned_one(scheduling)
    await scheduling.hear(await scheduling.tasks.change(task.id, lambda _found: RequestCancel()))
    await scheduling.pass_time(hours=2)
    await scheduling.heartbeat()
    assert (await scheduling.now(task)).phase is Phase.CANCELLED
    assert scheduling.assignments == []
