import random
from datetime import timedelta

import pytest
from contracts.testing.examples import NOON
from contracts.webhooks import EndpointState
from hypothesis import given
from hypothesis import strategies as st
from notification.domain.deliveries import Answer
from notification.domain.health import (
    FIRST_PROBE,
    HEALTHY,
    JITTER,
    LEAST_FAILURES,
    LONGEST_PROBE,
    PAUSE_AFTER,
    PING_EVERY,
    PING_FOR,
    Health,
    Off,
    after_try,
    moved,
    nothing_to_probe_with,
    switched_off,
)

FAILED, TAKEN, GONE = Answer(500, "Oops"), Answer(200, "OK"), Answer(410, "Gone")
DISABLE_AFTER = timedelta(days=5)
RANDOM = random.Random(1)


def tried(health: Health, answer: Answer, after: timedelta = timedelta()) -> Health:
    return after_try(health, answer, NOON + after, DISABLE_AFTER, RANDOM)


def failed(times: int, health: Health = HEALTHY) -> Health:
    for _ in range(times):
        health = tried(health, FAILED)
    return health


def test_a_few_failures_are_no_reason_to_pause() -> None:
    health = failed(PAUSE_AFTER - 1)
    assert (health.state, health.probe_due, health.failing_since) == (EndpointState.FAILING, None, NOON)


def test_many_in_a_row_are() -> None:
    due = failed(PAUSE_AFTER).probe_due
    assert due is not None
    assert FIRST_PROBE <= due - NOON <= FIRST_PROBE * (1 + JITTER)


@given(st.timedeltas(timedelta(), timedelta(days=4)))
def test_probes_grow_rare_with_the_time_it_has_failed(so_far: timedelta) -> None:
    due = tried(failed(PAUSE_AFTER), FAILED, so_far).probe_due
    assert due is not None
    wait = due - NOON - so_far
    assert FIRST_PROBE * 0.9 <= wait <= LONGEST_PROBE * (1 + JITTER)
    assert wait >= min(so_far / 4, LONGEST_PROBE)


@pytest.mark.parametrize("health", [failed(1), failed(30), Health(off=Off.FAILURES, off_since=NOON, probe_due=NOON)])
def test_one_acceptance_makes_it_healthy(health: Health) -> None:
    assert tried(health, TAKEN) == HEALTHY


def test_days_of_nothing_but_failures_disable_it() -> None:
    health = tried(failed(LEAST_FAILURES), FAILED, DISABLE_AFTER)
    assert (health.state, health.off) == (EndpointState.DISABLED, Off.FAILURES)
    assert health.disabled_because == (
        "nothing was accepted in 11 tries since 2026-01-01 12:00 UTC; the last answer: 500 Oops"
    )
    assert health.hears, "what happens until it is back is written down for it"


def test_neither_time_nor_number_alone_does() -> None:
    assert tried(failed(3), FAILED, timedelta(days=50)).off is None
    assert failed(1000).off is None


def test_a_disabled_one_is_pinged_for_a_while() -> None:
    disabled = tried(failed(LEAST_FAILURES), FAILED, DISABLE_AFTER)
    later = tried(disabled, FAILED, DISABLE_AFTER + timedelta(days=1))
    assert later.probe_due is not None
    assert later.probe_due >= NOON + DISABLE_AFTER + timedelta(days=1) + PING_EVERY
    assert later.disabled_because == disabled.disabled_because
    last = tried(disabled, FAILED, DISABLE_AFTER + PING_FOR)
    assert (last.off, last.probe_due, last.hears) == (Off.FAILURES, None, False)


@pytest.mark.parametrize("answer", [FAILED, TAKEN, GONE, Answer(None, "no answer")])
@pytest.mark.parametrize("health", [switched_off(NOON), tried(HEALTHY, GONE)])
def test_who_was_switched_off_by_somebody_stays_so(health: Health, answer: Answer) -> None:
    assert tried(health, answer) == health
    assert not health.hears


def test_gone_is_off_whatever_was_before() -> None:
    for before in (HEALTHY, failed(7), Health(off=Off.FAILURES, off_since=NOON, probe_due=NOON)):
        assert tried(before, GONE).off is Off.RECEIVER


def test_who_wants_peace_is_paused_at_once() -> None:
    busy = Answer(503, "busy", timedelta(minutes=10))
    health = tried(HEALTHY, busy)
    assert (health.probe_due, health.off) == (NOON + timedelta(minutes=10), None)
    other = tried(health, FAILED, timedelta(seconds=1))
    assert other.probe_due == health.probe_due, "another try under way does not end it"


def test_a_new_address_begins_anew() -> None:
    assert moved(failed(7), NOON) == HEALTHY
    assert moved(switched_off(NOON), NOON) == switched_off(NOON)
    disabled = tried(failed(LEAST_FAILURES), FAILED, DISABLE_AFTER)
    asked_at_once = moved(disabled, NOON)
    assert (asked_at_once.off, asked_at_once.probe_due) == (Off.FAILURES, NOON)


def test_where_nothing_waits_the_next_delivery_is_the_probe() -> None:
    health = nothing_to_probe_with(failed(7))
    assert (health.probe_due, health.failures) == (None, 7)
    assert tried(health, FAILED).probe_due is not None


ANSWERS = st.builds(
    Answer,
    st.one_of(st.none(), st.sampled_from([200, 301, 404, 410, 429, 500, 503])),
    st.just(""),
    st.one_of(st.none(), st.timedeltas(timedelta(), timedelta(days=1))),
)


@given(st.lists(st.tuples(ANSWERS, st.timedeltas(timedelta(), timedelta(days=2))), max_size=40))
def test_whatever_a_receiver_answers_it_is_asked_again_or_was_given_up_for_a_reason(
    answers: list[tuple[Answer, timedelta]],
) -> None:
    health, now = HEALTHY, NOON
    for answer, later in answers:
        now += later
        health = after_try(health, answer, now, DISABLE_AFTER, RANDOM)
        assert (health.off is None) == (health.disabled_because is None)
        assert (health.state is EndpointState.HEALTHY) == (health == HEALTHY)
        assert health.probe_due is None or now <= health.probe_due <= now + timedelta(days=1, hours=1)
        if answer.accepted and health.off is not Off.RECEIVER:
            assert health == HEALTHY
        if health.failures >= PAUSE_AFTER and health.off is None:
            assert health.probe_due is not None
