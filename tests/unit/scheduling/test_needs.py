"""Tasks that need the results of others: when they may start, and what becomes of them when there is no result."""

import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from contracts.identifiers import task_id_for
from contracts.records import TaskRecords
from contracts.tasks import (
    Advance,
    Assign,
    Backoff,
    Complete,
    Expire,
    Fail,
    Move,
    Phase,
    Produce,
    RequestCancel,
    Resubmit,
    Skip,
    Supply,
    Task,
)
from contracts.testing.examples import NOON, a_problem, a_task_in, media_result, produced_media
from scheduling.app import create
from scheduling.domain.needing import NEVER_MADE, supplied_or_skipped
from scheduling.domain.watching import overdue

from tests.conftest import Serve, World
from tests.unit.scheduling.driving import Scheduling, settings_of

KEYFRAME, SOUND = task_id_for("p1", "keyframe"), task_id_for("p1", "sound")
NEEDS = {"image": KEYFRAME, "audio": SOUND}


def needed(phase: Phase, task_id: str = KEYFRAME) -> Task:
    return a_task_in(phase, id=task_id)


def decided(*found: Task | None, **changes: object) -> Move | None:
    blocked = a_task_in(Phase.BLOCKED, **{"needs": NEEDS} | changes)
    by_id = {task.id: task for task in found if task is not None}
    return supplied_or_skipped(blocked, by_id, NOON)


class TestDeciding:
    def test_all_results_become_inputs(self) -> None:
        keyframe, sound = needed(Phase.DONE), needed(Phase.DONE, SOUND)
        assert keyframe.result is not None
        assert sound.result is not None
        assert decided(keyframe, sound) == Supply({"image": keyframe.result.id, "audio": sound.result.id})

    @pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.terminal])
    def test_it_waits_for_the_last(self, phase: Phase) -> None:
        assert decided(needed(Phase.DONE), needed(phase, SOUND)) is None

    @pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CANCELLED, Phase.EXPIRED, Phase.SKIPPED])
    def test_one_that_ended_without_a_result_is_named(self, phase: Phase) -> None:
        move = decided(needed(Phase.GENERATING), needed(phase, SOUND))
        assert isinstance(move, Skip)
        assert (move.error.code, move.error.retryable) == (NEVER_MADE, False)
        [problem] = move.error.errors
        assert (problem.field, problem.given) == ("inputs.audio", SOUND)
        assert phase.value in problem.detail

    def test_why_the_other_failed_is_told(self) -> None:
        move = decided(needed(Phase.FAILED), needed(Phase.DONE, SOUND))
        assert isinstance(move, Skip)
        assert a_problem().title in move.error.errors[0].detail

    def test_one_whose_record_is_gone_will_never_be_made(self) -> None:
        assert isinstance(decided(needed(Phase.DONE)), Skip)

    def test_another_project_gives_nothing(self) -> None:
        foreign = a_task_in(Phase.DONE, id=KEYFRAME, project_id="p2")
        move = decided(foreign, needed(Phase.DONE, SOUND))
        assert isinstance(move, Skip)
        assert "done" not in move.error.errors[0].detail

    def test_a_person_gives_up_waiting(self) -> None:
        assert decided(needed(Phase.QUEUED), needed(Phase.DONE, SOUND), expires_at=NOON) == Expire()

    def test_the_watchdog_asks_it(self) -> None:
        task = a_task_in(Phase.BLOCKED, needs={"image": KEYFRAME})
        found = overdue(task, NOON, NOON, Backoff(), random.Random(1), needed={KEYFRAME: needed(Phase.FAILED)})
        assert isinstance(found.move, Skip)


@pytest.fixture
async def scheduling(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Scheduling]:
    async with serve([create(settings_of(database_url("scheduling")), world.outside)]) as running:
        yield Scheduling(running, world)


async def done(scheduling: Scheduling, task: Task) -> None:
    """The task, made by somebody; heard of once, at its end."""
    for move in (
        lambda found: Assign("elsewhere", NOON + timedelta(hours=1)),
        lambda found: Advance(found.attempt, Phase.GENERATING),
        lambda found: Produce(found.attempt, produced_media(found, found.attempt), NOON),
        lambda found: Complete(found.attempt, media_result(found, found.attempt)),
    ):
        ended = await scheduling.tasks.change(task.id, move)
    await scheduling.hear(ended)


class TestBeingToldAndLooking:
    async def test_an_end_lets_it_start(self, scheduling: Scheduling) -> None:
        keyframe = await scheduling.accept(id=KEYFRAME)
        clip = await scheduling.accept(phase=Phase.BLOCKED, needs={"image": KEYFRAME})
        await scheduling.pass_time(seconds=1)
        assert (await scheduling.now(clip)).phase is Phase.BLOCKED
        await done(scheduling, keyframe)
        await scheduling.pass_time(seconds=0)
        found, result = await scheduling.now(clip), (await scheduling.now(keyframe)).result
        assert result is not None
        assert (found.phase, found.inputs) == (Phase.QUEUED, {"image": result.id})
        assert "task.queued.v1" in scheduling.announced()

    async def test_it_may_be_heard_of_after_what_it_needs_has_ended(self, scheduling: Scheduling) -> None:
        keyframe = await scheduling.accept(id=KEYFRAME)
        await done(scheduling, keyframe)
        clip = await scheduling.accept(phase=Phase.BLOCKED, needs={"image": KEYFRAME})
        await scheduling.pass_time(seconds=0)
        assert (await scheduling.now(clip)).phase is Phase.QUEUED

    async def test_an_end_that_nobody_heard_of_is_found(self, scheduling: Scheduling) -> None:
        keyframe = await scheduling.accept(id=KEYFRAME)
        clip = await scheduling.accept(phase=Phase.BLOCKED, needs={"image": KEYFRAME})
        await scheduling.pass_time(seconds=1)
        await scheduling.tasks.change(keyframe.id, lambda _found: RequestCancel())
        await scheduling.pass_time(minutes=6)
        found = await scheduling.now(clip)
        assert found.phase is Phase.SKIPPED
        assert found.error is not None
        assert found.error.code == NEVER_MADE

    async def test_an_end_that_is_heard_while_it_is_looked_at_is_not_lost(
        self, scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The record of what it needs was read before, and is not read again of itself for five minutes."""
        keyframe, sound = [await scheduling.accept(id=one) for one in (KEYFRAME, SOUND)]
        clip = await scheduling.accept(phase=Phase.BLOCKED, needs=NEEDS)
        await done(scheduling, keyframe)
        read = TaskRecords.get

        async def first_of_the_sound(records: TaskRecords, task_id: str) -> Task | None:
            found = await read(records, task_id)
            if task_id == SOUND:
                monkeypatch.setattr(TaskRecords, "get", read)
                scheduling.world.clock.advance(seconds=1)
                await done(scheduling, sound)
            return found

        monkeypatch.setattr(TaskRecords, "get", first_of_the_sound)
        await scheduling.pass_time(seconds=0)
        await scheduling.pass_time(seconds=1)
        assert (await scheduling.now(clip)).phase is Phase.QUEUED

    async def test_what_is_skipped_has_those_skipped_that_need_it(self, scheduling: Scheduling) -> None:
        keyframe = await scheduling.accept(id=KEYFRAME)
        clip = await scheduling.accept(phase=Phase.BLOCKED, needs={"image": KEYFRAME})
        film = await scheduling.accept(id=task_id_for("p1", "film"), phase=Phase.BLOCKED, needs={"clip": clip.id})
        await scheduling.hear(await scheduling.tasks.change(keyframe.id, lambda _found: RequestCancel()))
        await scheduling.pass_time(seconds=0)
        await scheduling.hear(await scheduling.now(clip))
        await scheduling.pass_time(seconds=0)
        assert [(await scheduling.now(task)).phase for task in (clip, film)] == [Phase.SKIPPED] * 2

    async def test_a_retried_one_is_waited_for_again(self, scheduling: Scheduling) -> None:
        keyframe = await scheduling.accept(id=KEYFRAME)
        clip = await scheduling.accept(phase=Phase.BLOCKED, needs={"image": KEYFRAME})
        await scheduling.hear(await scheduling.tasks.change(keyframe.id, lambda _found: RequestCancel()))
        await scheduling.pass_time(seconds=0)
        for task in (keyframe, clip):
            await scheduling.hear(await scheduling.tasks.change(task.id, lambda _found: Resubmit()))
        await scheduling.pass_time(seconds=1)
        assert (await scheduling.now(clip)).phase is Phase.BLOCKED
        await done(scheduling, keyframe)
        await scheduling.pass_time(seconds=0)
        assert (await scheduling.now(clip)).phase is Phase.QUEUED

    async def test_what_is_blocked_is_given_to_nobody_and_waits_from_when_it_is_not(
        self, scheduling: Scheduling
    ) -> None:
        keyframe = await scheduling.accept(id=KEYFRAME)
        clip = await scheduling.accept(phase=Phase.BLOCKED, needs={"image": KEYFRAME})
        await scheduling.pass_time(minutes=4)
        await scheduling.heartbeat()
        assert [one.task_id for one in scheduling.assignments] == [KEYFRAME]
        await scheduling.tasks.change(KEYFRAME, lambda found: Advance(found.attempt, Phase.GENERATING))
        ended = await scheduling.tasks.change(KEYFRAME, lambda found: Fail(found.attempt, a_problem()))
        await scheduling.hear(ended)
        await scheduling.pass_time(seconds=0)
        assert (await scheduling.now(clip)).phase is Phase.SKIPPED
        assert keyframe.id == KEYFRAME
