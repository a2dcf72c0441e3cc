from datetime import timedelta

import pytest
from contracts.testing.examples import NOON
from notification.domain.live import Allowance, Gap, Scope, gap_after, page_may_open


@pytest.mark.parametrize(
    ("position", "oldest", "newest", "gap"),
    [
        (0, 1, 0, None),
        (0, 500, 900, None),
        (1, 1, 0, Gap.UNKNOWN),
        (900, 500, 900, None),
        (901, 500, 900, Gap.UNKNOWN),
        (500, 500, 900, None),
        (499, 500, 900, None),
        (498, 500, 900, Gap.FORGOTTEN),
        (900, 901, 900, None),
        (899, 901, 900, Gap.FORGOTTEN),
    ],
)
def test_whether_something_is_missing_after_a_position(
    position: int, oldest: int, newest: int, gap: Gap | None
) -> None:
    assert gap_after(position, oldest, newest) is gap


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (Scope("p1"), True),
        (Scope("p2"), False),
        (Scope("p1", task_id="t1"), True),
        (Scope("p1", task_id="t2"), False),
        (Scope("p2", task_id="t1"), False),
        (Scope("p1", tag="hero"), True),
        (Scope("p1", tag="her"), False),
        (Scope("p2", tag="hero"), False),
    ],
)
def test_what_a_scope_covers(scope: Scope, covered: bool) -> None:
    assert scope.covers("p1", "t1", ("hero", "night")) is covered


@pytest.mark.parametrize(
    ("origin", "host", "opens"),
    [
        (None, "api.example", True),
        ("https://studio.example", "api.example", True),
        ("http://studio.example", "api.example", False),
        ("https://studio.example:8443", "api.example", False),
        ("https://api.example", "api.example", True),
        ("https://api.example.evil", "api.example", False),
        ("https://evil/api.example", "api.example", False),
        ("null", "api.example", False),
        ("null", None, False),
        ("", "", False),
        ("https://", "", False),
    ],
)
def test_pages_that_may_open_a_web_socket(origin: str | None, host: str | None, opens: bool) -> None:
    assert page_may_open(origin, host, ["https://studio.example"]) is opens
    assert page_may_open(origin, host, ["*"])


def test_an_allowance_is_by_the_minute() -> None:
    allowance = Allowance(2)
    assert [allowance.spend(NOON) for _ in range(3)] == [True, True, False]
    assert not allowance.spend(NOON + timedelta(seconds=59))
    assert allowance.spend(NOON + timedelta(seconds=60))
