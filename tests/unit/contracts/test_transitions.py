import random
from datetime import timedelta

import pytest
from contracts.errors import IllegalTransition, StaleAttempt
from contracts.identifiers import media_id_for
from contracts.tasks import (
    PICK_UP_WITHIN,
    TRANSITIONS,
    Advance,
    Assign,
    Backoff,
    Cancel,
    Complete,
    Expire,
    Fail,
    Move,
    Phase,
    Prioritise,
    Priority,
    Produce,
    Release,
    RequestCancel,
    Resubmit,
    RetryLater,
    Skip,
    Status,
    Supply,
    TakeBack,
    Task,
    after_failure,
    apply,
)
from contracts.testing.examples import NOON, a_problem, a_task, a_task_in, media_result, produced_media
from hypothesis import given
from hypothesis import strategies as st

LATER = NOON + timedelta(seconds=10)
MEDIA, OTHER_MEDIA = media_id_for("t1", 1), media_id_for("t2", 1)

WAITING = (Phase.BLOCKED, Phase.SCHEDULED, Phase.QUEUED, Phase.RETRY_WAIT)

# For every phase, what each move leads to; None where the move is refused.
EXPECTED: dict[str, dict[Phase, Phase]] = {
    "Supply": {Phase.BLOCKED: Phase.QUEUED},
    "Release": {Phase.SCHEDULED: Phase.QUEUED, Phase.QUEUED: Phase.QUEUED},
    "Skip": {Phase.BLOCKED: Phase.SKIPPED, Phase.SCHEDULED: Phase.SKIPPED, Phase.SKIPPED: Phase.SKIPPED},
    "Assign": {Phase.QUEUED: Phase.ASSIGNED, Phase.RETRY_WAIT: Phase.ASSIGNED},
    "TakeBack": {
        Phase.QUEUED: Phase.QUEUED,
        Phase.ASSIGNED: Phase.QUEUED,
        Phase.LOADING_MODEL: Phase.QUEUED,
        Phase.GENERATING: Phase.QUEUED,
        Phase.ENCODING: Phase.QUEUED,
    },
    "Advance": {
        Phase.ASSIGNED: Phase.GENERATING,
        Phase.LOADING_MODEL: Phase.GENERATING,
        Phase.GENERATING: Phase.GENERATING,
    },
    "Produce": {Phase.GENERATING: Phase.STORING, Phase.ENCODING: Phase.STORING, Phase.STORING: Phase.STORING},
    "Complete": {Phase.STORING: Phase.DONE, Phase.DONE: Phase.DONE},
    "RetryLater": {
        Phase.ASSIGNED: Phase.RETRY_WAIT,
        Phase.LOADING_MODEL: Phase.RETRY_WAIT,
        Phase.GENERATING: Phase.RETRY_WAIT,
        Phase.ENCODING: Phase.RETRY_WAIT,
        Phase.STORING: Phase.RETRY_WAIT,
        Phase.RETRY_WAIT: Phase.RETRY_WAIT,
    },
    "Fail": {phase: Phase.FAILED for phase in Phase if phase.owner and phase not in WAITING}
    | {Phase.FAILED: Phase.FAILED},
    "RequestCancel": {
        Phase.BLOCKED: Phase.CANCELLED,
        Phase.SCHEDULED: Phase.CANCELLED,
        Phase.QUEUED: Phase.CANCELLED,
        Phase.ASSIGNED: Phase.CANCELLED,
        Phase.RETRY_WAIT: Phase.CANCELLED,
        Phase.LOADING_MODEL: Phase.LOADING_MODEL,
        Phase.GENERATING: Phase.GENERATING,
        Phase.ENCODING: Phase.ENCODING,
        Phase.STORING: Phase.STORING,
        Phase.CANCELLED: Phase.CANCELLED,
    },
    # A run is cancelled only if somebody has asked for it.
    "Cancel": {Phase.CANCELLED: Phase.CANCELLED},
    "Expire": dict.fromkeys((*WAITING, Phase.EXPIRED), Phase.EXPIRED),
    # The example was skipped before its time.
    "Resubmit": dict.fromkeys((Phase.FAILED, Phase.CANCELLED, Phase.EXPIRED), Phase.QUEUED)
    | {Phase.SKIPPED: Phase.SCHEDULED},
    "Prioritise": {phase: phase for phase in Phase if not phase.terminal},
}


def moves_for(task: Task) -> list[Move]:
    attempt = task.attempt
    return [
        Supply({"image": MEDIA}),
        Release(),
        Skip(a_problem(retryable=False)),
        Assign("worker-1", LATER),
        TakeBack(attempt),
        Advance(attempt, Phase.GENERATING),
        Produce(attempt, produced_media(task), NOON),
        Complete(attempt, media_result(task)),
        RetryLater(attempt, a_problem(), LATER),
        Fail(attempt, a_problem()),
        RequestCancel(),
        Cancel(attempt),
        Expire(),
        Resubmit(),
        Prioritise(Priority.HIGH),
    ]


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("index", range(15))
def test_every_move_from_every_phase(phase: Phase, index: int) -> None:
    task = a_task_in(phase)
    move = moves_for(task)[index]
    expected = EXPECTED[type(move).__name__].get(phase)
    if expected is None:
        with pytest.raises((IllegalTransition, StaleAttempt)):
            apply(task, move, LATER)
    else:
        assert apply(task, move, LATER).phase is expected


def test_the_table_names_every_phase_and_ended_phases_lead_only_back_to_where_tasks_begin() -> None:
    assert set(TRANSITIONS) == set(Phase)
    for phase in Phase:
        if phase.terminal:
            assert TRANSITIONS[phase] <= {Phase.QUEUED, Phase.SCHEDULED, Phase.BLOCKED}


def test_what_is_sent_round_again_before_its_time_waits_for_it() -> None:
    cancelled = apply(a_task_in(Phase.SCHEDULED), RequestCancel(), NOON)
    again = apply(cancelled, Resubmit(), NOON)
    assert (again.phase, again.deadline) == (Phase.SCHEDULED, again.start_at)
    assert again.start_at is not None
    assert apply(cancelled, Resubmit(), again.start_at).phase is Phase.QUEUED


@pytest.mark.parametrize(
    ("phase", "move"),
    [
        (Phase.DONE, Complete(1, media_result(a_task()))),
        (Phase.FAILED, Fail(1, a_problem())),
        (Phase.CANCELLED, Cancel(1)),
        (Phase.CANCELLED, RequestCancel()),
        (Phase.EXPIRED, Expire()),
        (Phase.SKIPPED, Skip(a_problem())),
    ],
)
def test_ended_tasks_absorb_repeats(phase: Phase, move: Move) -> None:
    task = a_task_in(phase)
    assert apply(task, move, LATER) is task


@pytest.mark.parametrize("attempt", [0, 2])
def test_a_write_for_another_attempt_is_refused(attempt: int) -> None:
    task = a_task_in(Phase.GENERATING)
    for move in (
        TakeBack(attempt),
        Advance(attempt, Phase.ENCODING),
        Produce(attempt, produced_media(task), NOON),
        RetryLater(attempt, a_problem(), LATER),
        Fail(attempt, a_problem()),
        Cancel(attempt),
    ):
        with pytest.raises(StaleAttempt):
            apply(task, move, LATER)


class TestNeeds:
    """Inputs that are the results of other tasks."""

    def test_what_is_supplied_begins_to_wait_and_has_its_inputs(self) -> None:
        blocked = a_task_in(Phase.BLOCKED, inputs={"mask": OTHER_MEDIA})
        supplied = apply(blocked, Supply({"image": MEDIA}), LATER)
        assert supplied.inputs == {"mask": OTHER_MEDIA, "image": MEDIA}
        assert (supplied.waits_since, supplied.deadline) == (LATER, LATER + PICK_UP_WITHIN)

    def test_it_waits_for_its_time_as_well(self) -> None:
        soon = LATER + timedelta(hours=1)
        supplied = apply(a_task_in(Phase.BLOCKED, start_at=soon), Supply({"image": MEDIA}), LATER)
        assert (supplied.phase, supplied.deadline) == (Phase.SCHEDULED, soon)
        late = apply(a_task_in(Phase.BLOCKED, start_at=NOON), Supply({"image": MEDIA}), LATER)
        assert late.phase is Phase.QUEUED

    def test_all_of_them_have_to_be_there(self) -> None:
        with pytest.raises(IllegalTransition, match="needs image"):
            apply(a_task_in(Phase.BLOCKED), Supply({}), LATER)

    def test_what_is_sent_round_again_asks_for_them_again(self) -> None:
        skipped = apply(a_task_in(Phase.BLOCKED), Skip(a_problem()), LATER)
        again = apply(skipped, Resubmit(), LATER)
        assert (again.phase, again.error, again.deadline) == (Phase.BLOCKED, None, LATER + PICK_UP_WITHIN)
        assert apply(again, Supply({"image": MEDIA}), LATER).phase is Phase.QUEUED


def test_a_zombie_cannot_finish_a_task_that_was_given_to_another_worker() -> None:
    first = a_task_in(Phase.GENERATING)
    lost = apply(first, RetryLater(1, a_problem(), NOON), NOON)
    second = apply(apply(lost, Assign("worker-2", LATER), NOON), Advance(2, Phase.GENERATING), NOON)
    with pytest.raises(StaleAttempt):
        apply(second, Produce(1, produced_media(second), NOON), LATER)


@pytest.mark.parametrize(
    "ended",
    [
        [RetryLater(1, a_problem(), NOON)],
        [TakeBack(1)],
        [Fail(1, a_problem()), Resubmit()],
        [RequestCancel(), Cancel(1), Resubmit()],
    ],
)
def test_an_attempt_that_has_ended_is_over_before_the_next_begins(ended: list[Move]) -> None:
    """The zombie's number is still the newest, and it must not end what waits for the next attempt."""
    task = a_task_in(Phase.GENERATING)
    for move in ended:
        task = apply(task, move, NOON)
    assert task.phase in WAITING
    for move in (Fail(1, a_problem()), Cancel(1), Produce(1, produced_media(task), NOON), Advance(1, Phase.GENERATING)):
        with pytest.raises(StaleAttempt):
            apply(task, move, LATER)


def test_a_zombies_failure_is_its_own() -> None:
    first = a_task_in(Phase.GENERATING)
    lost = apply(first, RetryLater(1, a_problem(), NOON), NOON)
    second = apply(apply(lost, Assign("worker-2", LATER), NOON), Advance(2, Phase.GENERATING), NOON)
    move = after_failure(second, 1, a_problem(), NOON, Backoff(), random.Random(1))
    with pytest.raises(StaleAttempt):
        apply(second, move, LATER)


def test_a_run_that_was_asked_to_stop_is_cancelled() -> None:
    asked = apply(a_task_in(Phase.GENERATING), RequestCancel(), NOON)
    assert apply(asked, Cancel(1), NOON).phase is Phase.CANCELLED


def test_a_cancelled_run_does_not_come_back() -> None:
    asked = apply(a_task_in(Phase.GENERATING), RequestCancel(), NOON)
    assert asked.cancel_requested
    assert apply(asked, RetryLater(1, a_problem(), LATER), NOON).status is Status.CANCELLED
    assert apply(asked, TakeBack(1), NOON).status is Status.CANCELLED


def test_time_is_booked_to_phases() -> None:
    task = a_task()
    at = NOON
    for seconds, move in (
        (3, Assign("worker-1", LATER)),
        (1, Advance(1, Phase.LOADING_MODEL)),
        (5, Advance(1, Phase.GENERATING)),
        (7, Produce(1, produced_media(task), NOON + timedelta(seconds=14))),
        (2, Complete(1, media_result(task))),
    ):
        at += timedelta(seconds=seconds)
        task = apply(task, move, at)
    assert task.phase_seconds == {
        Phase.QUEUED: 3,
        Phase.ASSIGNED: 1,
        Phase.LOADING_MODEL: 5,
        Phase.GENERATING: 5,
        Phase.ENCODING: 2,
        Phase.STORING: 2,
    }
    assert task.finished_at == at


def test_a_clock_that_lags_takes_no_time_off() -> None:
    task = apply(a_task(), Assign("worker-1", LATER), NOON - timedelta(minutes=1))
    assert task.phase_seconds == {Phase.QUEUED: 0}
    assert task.updated_at == NOON


def test_being_taken_back_is_not_the_tasks_fault() -> None:
    task = apply(a_task_in(Phase.ASSIGNED), TakeBack(1), NOON)
    assert (task.failures, task.attempt, task.worker_id) == (0, 1, None)


def test_another_priority_is_a_change_and_the_same_one_is_none() -> None:
    task = a_task_in(Phase.QUEUED)
    sooner = apply(task, Prioritise(Priority.HIGH), LATER)
    assert (sooner.priority, sooner.seq, sooner.phase_since) == (Priority.HIGH, task.seq + 1, task.phase_since)
    assert apply(sooner, Prioritise(Priority.HIGH), LATER) is sooner


def test_a_persons_retry_forgives_failures_and_keeps_counting_attempts() -> None:
    task = apply(a_task_in(Phase.FAILED), Resubmit(), LATER)
    assert (task.failures, task.attempt, task.error) == (0, 1, None)
    assert apply(task, Assign("worker-1", LATER), LATER).attempt == 2


def test_attempts_are_spent_then_the_task_fails() -> None:
    task, randomness = a_task(max_failures=2), random.Random(1)
    task = apply(apply(task, Assign("w", LATER), NOON), Advance(1, Phase.GENERATING), NOON)
    move = after_failure(task, task.attempt, a_problem(), NOON, Backoff(), randomness)
    assert isinstance(move, RetryLater)
    task = apply(apply(task, move, NOON), Assign("w", LATER), NOON)
    assert isinstance(after_failure(task, task.attempt, a_problem(), NOON, Backoff(), randomness), Fail)


def test_a_permanent_failure_spends_no_attempts() -> None:
    task = a_task_in(Phase.GENERATING)
    assert isinstance(after_failure(task, 1, a_problem(retryable=False), NOON, Backoff(), random.Random(1)), Fail)


@given(st.integers(1, 100), st.integers())
def test_waits_grow_and_stay_within_their_bounds(failures: int, seed: int) -> None:
    backoff = Backoff()
    wait = backoff.wait(failures, random.Random(seed))
    ceiling = min(backoff.first * 2 ** min(failures - 1, 20), backoff.longest)
    assert ceiling / 2 <= wait <= ceiling


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 600)), max_size=40))
def test_whatever_happens_a_task_keeps_its_promises(steps: list[tuple[int, int]]) -> None:
    """Any moves in any order: owner and deadline while alive, neither when ended, counters only rise."""
    task, now = a_task(), NOON
    for index, seconds in steps:
        now += timedelta(seconds=seconds)
        before = task
        try:
            task = apply(task, moves_for(task)[index], now)
        except (IllegalTransition, StaleAttempt):
            continue
        assert (task.deadline is None) == task.phase.terminal
        assert (task.phase.owner is None) == task.phase.terminal
        assert (task.finished_at is not None) == task.phase.terminal
        assert task.attempt >= before.attempt
        assert task is before or task.seq == before.seq + 1
        assert task.failures <= task.attempt
        if task is not before and task.phase is not before.phase:
            assert task.phase in TRANSITIONS[before.phase] or before.phase is Phase.GENERATING
    assert Task.model_validate_json(task.model_dump_json()) == task


def test_a_device_that_was_shared_is_used_by_each_for_its_part() -> None:
    task = apply(a_task_in(Phase.ASSIGNED), Advance(1, Phase.LOADING_MODEL, together=4), NOON)
    task = apply(task, Advance(1, Phase.GENERATING, together=2), NOON + timedelta(seconds=10))
    assert task.shared_seconds == 5, "two came of the four that were expected"
    task = apply(task, Produce(1, produced_media(task), NOON + timedelta(seconds=30)), NOON + timedelta(seconds=31))
    assert (task.phase_seconds[Phase.GENERATING], task.shared_seconds) == (20, 5), "and one was left at the end"


def test_who_shares_a_device_is_news_within_a_phase_too() -> None:
    task = apply(a_task_in(Phase.ASSIGNED), Advance(1, Phase.GENERATING, together=4), NOON)
    again = apply(task, Advance(1, Phase.GENERATING, together=3), NOON)
    assert (again.together, again.seq) == (3, task.seq + 1)
    assert apply(again, Advance(1, Phase.GENERATING, together=3), NOON) is again


def test_another_attempt_shares_nothing_until_it_says_so() -> None:
    task = apply(a_task_in(Phase.ASSIGNED), Advance(1, Phase.GENERATING, together=4), NOON)
    task = apply(task, TakeBack(1), NOON + timedelta(seconds=8))
    assert (task.shared_seconds, apply(task, Assign("w", NOON), NOON).together) == (6, 1)
