"""Instances of a series when their time comes: overlap, and times that were missed."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from contracts.identifiers import series_id_for, task_id_for
from contracts.records import TaskRecords
from contracts.tasks import (
    Assign,
    Backoff,
    Expire,
    Fail,
    Missed,
    Move,
    Overlap,
    Phase,
    Release,
    RequestCancel,
    Resubmit,
    SeriesPart,
    Skip,
    Supply,
    Task,
    apply,
)
from contracts.testing.examples import NOON, a_problem, a_task, a_task_in
from scheduling.app import create
from scheduling.domain.watching import LOOK_AT_HELD, MISSED, OVERLAPS, overdue

from tests.conftest import Serve, World
from tests.unit.scheduling.driving import Scheduling, settings_of

MINUTE = timedelta(minutes=1)
SERIES = series_id_for("p1", "a")


def part(at: datetime, **rules: Any) -> SeriesPart:
    return SeriesPart.model_validate({"id": SERIES, "revision": 1, "at": at} | rules)


def instance(at: datetime, phase: Phase = Phase.SCHEDULED, **rules: Any) -> Task:
    fields = {
        "id": task_id_for("p1", at.isoformat()), "series": part(at, **rules), "start_at": at, "deadline": at,
    }  # fmt: skip
    return a_task(phase=phase, **fields) if phase in (Phase.SCHEDULED, Phase.QUEUED) else a_task_in(phase, **fields)


def decided(task: Task, now: datetime, others: Sequence[Task] = (), held: bool = False) -> Move | None:
    return overdue(task, NOON, now, Backoff(), random.Random(1), others, held).move


BEFORE, AFTER = NOON - MINUTE, NOON + MINUTE


@pytest.mark.parametrize(
    ("overlap", "earlier", "expected"),
    [
        (Overlap.ALLOW, Phase.GENERATING, Release()),
        (Overlap.SKIP, None, Release()),
        (Overlap.SKIP, Phase.SCHEDULED, Release()),
        (Overlap.SKIP, Phase.QUEUED, Skip(OVERLAPS)),
        (Overlap.SKIP, Phase.RETRY_WAIT, Skip(OVERLAPS)),
        (Overlap.SKIP, Phase.STORING, Skip(OVERLAPS)),
        (Overlap.SKIP, Phase.DONE, Release()),
        (Overlap.WAIT, None, Release()),
        (Overlap.WAIT, Phase.SCHEDULED, None),
        (Overlap.WAIT, Phase.QUEUED, None),
        (Overlap.WAIT, Phase.GENERATING, None),
        (Overlap.WAIT, Phase.FAILED, Release()),
    ],
)
def test_an_earlier_one_that_has_not_ended(overlap: Overlap, earlier: Phase | None, expected: Move | None) -> None:
    others = [instance(BEFORE, earlier)] if earlier is not None else []
    assert decided(instance(NOON, overlap=overlap), NOON, others) == expected


@pytest.mark.parametrize("overlap", Overlap)
def test_a_later_one_is_in_nobodys_way(overlap: Overlap) -> None:
    assert decided(instance(NOON, overlap=overlap), NOON, [instance(AFTER, Phase.GENERATING)]) == Release()


@pytest.mark.parametrize(
    ("missed", "late", "later", "expected"),
    [
        (Missed.RUN, 3600, None, Release()),
        (Missed.RUN, 3600, AFTER, Release()),
        (Missed.LATEST, 60, AFTER, Release()),
        (Missed.LATEST, 3600, None, Release()),
        (Missed.LATEST, 3600, AFTER, Skip(MISSED)),
        (Missed.LATEST, 3600, NOON + timedelta(hours=2), Release()),
        (Missed.SKIP, 60, None, Release()),
        (Missed.SKIP, 61, None, Skip(MISSED)),
        (Missed.SKIP, 3600, AFTER, Skip(MISSED)),
    ],
)
def test_a_time_that_was_missed(missed: Missed, late: int, later: datetime | None, expected: Move) -> None:
    others = [instance(later)] if later else []
    assert decided(instance(NOON, missed=missed), NOON + timedelta(seconds=late), others) == expected


def test_what_has_waited_for_another_has_not_missed_its_time() -> None:
    task = instance(NOON, overlap=Overlap.WAIT, missed=Missed.SKIP)
    assert decided(task, NOON + timedelta(hours=1), held=True) == Release()


def test_expiring_and_not_being_due_yet_come_first() -> None:
    task = instance(NOON, overlap=Overlap.SKIP, missed=Missed.SKIP)
    others = [instance(BEFORE, Phase.GENERATING)]
    assert decided(task, BEFORE, others) is None
    expiring = task.model_copy(update={"expires_at": NOON + 2 * MINUTE})
    assert decided(expiring, NOON + 5 * MINUTE, others) == Expire()


@pytest.fixture
async def scheduling(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Scheduling]:
    async with serve([create(settings_of(database_url("scheduling")), world.outside)]) as running:
        yield Scheduling(running, world)


async def planned(scheduling: Scheduling, minute: int, **rules: Any) -> Task:
    at = NOON + minute * MINUTE
    task = instance(at, **rules)
    await scheduling.tasks.create(task)
    await scheduling.hear(task)
    return task


async def end(scheduling: Scheduling, task: Task) -> None:
    await scheduling.tasks.change(task.id, lambda _found: Assign("worker-1", NOON))
    await scheduling.hear(await scheduling.tasks.change(task.id, lambda _found: Fail(1, a_problem(retryable=False))))


async def phases(scheduling: Scheduling, *tasks: Task) -> list[Phase]:
    return [(await scheduling.now(task)).phase for task in tasks]


def test_what_a_person_asks_for_again_starts_whatever_the_rules() -> None:
    keyframe = task_id_for("p1", "keyframe")
    task = instance(NOON, Phase.SKIPPED, overlap=Overlap.SKIP, missed=Missed.SKIP)
    blocked = apply(task.model_copy(update={"needs": {"image": keyframe}}), Resubmit(), AFTER)
    again = apply(blocked, Supply({"image": keyframe}), AFTER)
    assert decided(again, NOON + timedelta(hours=1), [instance(BEFORE, Phase.GENERATING)]) == Release()


async def test_what_overlaps_is_skipped_and_says_why(scheduling: Scheduling) -> None:
    first, second = [await planned(scheduling, minute, overlap=Overlap.SKIP) for minute in (1, 2)]
    await scheduling.pass_time(minutes=1)
    await scheduling.pass_time(minutes=1)
    assert await phases(scheduling, first, second) == [Phase.QUEUED, Phase.SKIPPED]
    assert (await scheduling.now(second)).error == OVERLAPS
    assert "task.skipped.v1" in scheduling.announced()


async def test_what_waits_begins_when_the_one_before_it_has_ended(scheduling: Scheduling) -> None:
    rules: dict[str, Any] = {"overlap": Overlap.WAIT, "missed": Missed.SKIP}
    first, second, third = [await planned(scheduling, minute, **rules) for minute in (1, 2, 3)]
    for _ in range(30):
        await scheduling.pass_time(minutes=1)
    assert await phases(scheduling, first, second, third) == [Phase.QUEUED, Phase.SCHEDULED, Phase.SCHEDULED]
    await end(scheduling, first)
    await scheduling.pass_time(seconds=1)
    assert await phases(scheduling, first, second, third) == [Phase.FAILED, Phase.QUEUED, Phase.SCHEDULED]
    await scheduling.hear(await scheduling.tasks.change(second.id, lambda _found: RequestCancel()))
    await scheduling.pass_time(seconds=1)
    assert await phases(scheduling, second, third) == [Phase.CANCELLED, Phase.QUEUED]


async def test_what_waits_begins_although_the_others_end_was_not_heard(scheduling: Scheduling) -> None:
    first, second = [await planned(scheduling, minute, overlap=Overlap.WAIT) for minute in (1, 2)]
    await scheduling.pass_time(minutes=2)
    await scheduling.tasks.change(first.id, lambda _found: RequestCancel())
    await scheduling.pass_time(seconds=LOOK_AT_HELD.total_seconds())
    assert await phases(scheduling, first, second) == [Phase.CANCELLED, Phase.QUEUED]


async def test_an_end_that_is_heard_while_it_is_looked_at_is_not_lost(
    scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not held yet, and only what is held is woken."""
    first, second = [await planned(scheduling, minute, overlap=Overlap.WAIT) for minute in (1, 2)]
    await scheduling.pass_time(minutes=1)
    read = TaskRecords.get

    async def before_the_end_of_the_first(records: TaskRecords, task_id: str) -> Task | None:
        found = await read(records, task_id)
        if task_id == first.id:
            monkeypatch.setattr(TaskRecords, "get", read)
            await end(scheduling, first)
        return found

    monkeypatch.setattr(TaskRecords, "get", before_the_end_of_the_first)
    await scheduling.pass_time(minutes=1)
    await scheduling.pass_time(seconds=1)
    assert await phases(scheduling, first, second) == [Phase.FAILED, Phase.QUEUED]


async def test_of_several_that_were_missed_only_the_latest_runs(scheduling: Scheduling) -> None:
    missed = [await planned(scheduling, minute, missed=Missed.LATEST) for minute in (1, 2, 3)]
    coming = await planned(scheduling, 90, missed=Missed.LATEST)
    scheduling.world.clock.advance(hours=1)
    await scheduling.pass_time(seconds=1)
    assert await phases(scheduling, *missed, coming) == [
        Phase.SKIPPED, Phase.SKIPPED, Phase.QUEUED, Phase.SCHEDULED,
    ]  # fmt: skip
    assert (await scheduling.now(missed[0])).error == MISSED


async def test_instances_of_another_series_are_in_nobodys_way(scheduling: Scheduling) -> None:
    first = await planned(scheduling, 1, overlap=Overlap.SKIP, id=series_id_for("p1", "another"))
    second = await planned(scheduling, 2, overlap=Overlap.SKIP)
    await scheduling.pass_time(minutes=2)
    assert await phases(scheduling, first, second) == [Phase.QUEUED, Phase.QUEUED]
