import random
import re
from datetime import timedelta

import pytest
from contracts.testing.examples import NOON
from hypothesis import given
from hypothesis import strategies as st
from notification.domain.deliveries import RETRY_AFTER, Answer, next_try, read_retry_after
from notification.domain.happenings import ENDINGS, Happening, wants

RANDOM = random.Random(1)
REFUSED = Answer(500, "Internal Server Error")


def test_the_schedule_is_standard_webhooks_own() -> None:
    """https://github.com/standard-webhooks/standard-webhooks, "Retry schedule": ten tries over some three days."""
    minutes = [wait.total_seconds() / 60 for wait in RETRY_AFTER]
    assert minutes == [5 / 60, 5, 30, 120, 300, 600, 840, 1200, 1440]


@given(st.integers(1, 9), st.integers())
def test_waits_follow_the_schedule_with_a_little_jitter(tries: int, seed: int) -> None:
    again = next_try(tries, REFUSED, NOON, random.Random(seed))
    assert again is not None
    assert RETRY_AFTER[tries - 1] <= again - NOON <= RETRY_AFTER[tries - 1] * 1.1


def test_after_the_schedule_it_is_given_up() -> None:
    assert next_try(10, REFUSED, NOON, RANDOM) is None


@given(st.integers(10, 1000))
def test_but_not_while_its_endpoint_accepts_nothing_at_all(tries: int) -> None:
    again = next_try(tries, REFUSED, NOON, RANDOM, hopeless=False)
    assert again is not None
    assert again >= NOON + RETRY_AFTER[-1]
    assert next_try(tries, Answer(410, "Gone"), NOON, RANDOM, hopeless=False) is None


def test_gone_is_gone() -> None:
    assert next_try(1, Answer(410, "Gone"), NOON, RANDOM) is None


def test_a_receiver_may_ask_for_more_time_but_not_for_less() -> None:
    later = next_try(1, Answer(429, "", timedelta(minutes=7)), NOON, RANDOM)
    assert later == NOON + timedelta(minutes=7)
    sooner = next_try(3, Answer(503, "", timedelta(seconds=1)), NOON, RANDOM)
    assert sooner is not None
    assert sooner >= NOON + RETRY_AFTER[2]


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None),
        ("", None),
        ("120", timedelta(minutes=2)),
        ("99999999999999999999", timedelta(days=1)),
        ("-5", None),
        ("soon", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("٣", None),
    ],
)
def test_retry_after(header: str | None, wait: timedelta | None) -> None:
    assert read_retry_after(header) == wait


@pytest.mark.parametrize(
    ("header", "date", "wait"),
    [
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:27:00 GMT", timedelta(minutes=1)),
        ("Wed, 21 Oct 2026 07:26:00 GMT", "Wed, 21 Oct 2026 07:27:00 GMT", timedelta()),
        ("Wed, 21 Oct 2099 07:26:00 GMT", "Wed, 21 Oct 2026 07:27:00 GMT", timedelta(days=1)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "soon", None),
        ("Wed, 21 Oct 2026 07:28:00 -0000", "Wed, 21 Oct 2026 07:27:00 GMT", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:27:00 GMT", None),
    ],
)
def test_retry_after_a_moment_of_the_receivers_own_clock(header: str, date: str, wait: timedelta | None) -> None:
    assert read_retry_after(header, date) == wait


@given(st.text(), st.text())
def test_nothing_that_a_receiver_writes_puts_a_webhook_off_for_long(header: str, date: str) -> None:
    wait = read_retry_after(header, date)
    assert wait is None or timedelta() <= wait <= timedelta(days=1)


@pytest.mark.parametrize(
    ("status", "wanted"), [(429, timedelta(minutes=5)), (503, timedelta(minutes=5)), (500, None), (301, None)]
)
def test_who_is_asked_too_much_wants_peace(status: int, wanted: timedelta | None) -> None:
    assert Answer(status, "", timedelta(minutes=5)).wants_peace == wanted


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_only_two_hundreds_accept(status: int) -> None:
    assert Answer(status, "").accepted


@pytest.mark.parametrize("status", [None, 100, 301, 302, 400, 404, 410, 500])
def test_everything_else_refuses(status: int | None) -> None:
    assert not Answer(status, "").accepted


def test_filters() -> None:
    assert wants(ENDINGS, "task.done.v1")
    assert not wants(ENDINGS, "task.processing.v1")
    assert wants(["*"], "anything")
    assert wants(["task.*"], "task.done.v1")
    assert not wants(["task.*"], "media.produced.v1")


@given(st.text(min_size=1))
def test_a_webhook_id_holds_nothing_that_the_signature_uses(event_id: str) -> None:
    happening = Happening(event_id, "task.done.v1", NOON, "p1", None, {})
    assert re.fullmatch(r"[a-z0-9_]{10,64}", happening.webhook_id)


def test_webhook_ids_of_different_events_differ() -> None:
    ids = {Happening(event_id, "x", NOON, "p1", None, {}).webhook_id for event_id in ("a:b", "a.b", "a_b", "ä")}
    assert len(ids) == 4
