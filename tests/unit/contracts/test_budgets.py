"""Budgets, their periods, and what is left of them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from contracts.budgets import Budget, Per, Spending, left_of, month_after, month_of
from contracts.projects import Project
from contracts.testing.examples import NOON
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

MONTHLY, IN_ALL = Budget(gpu_seconds=100, per=Per.MONTH), Budget(gpu_seconds=100, per=Per.TOTAL)
moments = st.datetimes(datetime(1970, 1, 1), datetime(9990, 1, 1), timezones=st.just(UTC))


@given(moments)
def test_a_moment_lies_in_its_month(moment: datetime) -> None:
    begin, end = month_of(moment), month_after(moment)
    assert begin <= moment < end
    assert month_of(end) == end == month_after(begin)
    assert timedelta(days=28) <= end - begin <= timedelta(days=31)


def test_months_are_those_of_utc() -> None:
    berlin = timezone(timedelta(hours=2))
    assert month_of(datetime(2026, 8, 1, 1, tzinfo=berlin)) == datetime(2026, 7, 1, tzinfo=UTC)
    assert month_after(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_month_begins_with_nothing_spent_and_a_total_never_does() -> None:
    spending = Spending(month=month_of(NOON), in_month=30, in_all=70)
    later = month_after(NOON)
    assert left_of(MONTHLY, spending, [], NOON) == 70
    assert left_of(MONTHLY, spending, [], later - timedelta(microseconds=1)) == 70
    assert left_of(MONTHLY, spending, [], later) == 100
    assert left_of(IN_ALL, spending, [], NOON) == left_of(IN_ALL, spending, [], later) == 30
    assert (MONTHLY.ends_at(NOON), IN_ALL.ends_at(NOON)) == (later, None)


def test_what_runs_is_counted_and_a_lowered_budget_is_short_of_it() -> None:
    spending = Spending(month=month_of(NOON), in_month=30, in_all=70)
    assert left_of(MONTHLY, spending, [20.0, 20.0], NOON) == 30
    assert left_of(Budget(gpu_seconds=40, per=Per.MONTH), spending, [20.0, 20.0], NOON) == -30


NO_SECONDS: list[Any] = [0, -1, float("nan"), float("inf"), -float("inf"), 1e11, 10**400, "3600", True, None, []]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        *(({"gpu_seconds": seconds, "per": "month"}, "gpu_seconds") for seconds in NO_SECONDS),
        ({"gpu_seconds": 1, "per": "week"}, "per"),
        ({"gpu_seconds": 1, "per": None}, "per"),
        ({"gpu_seconds": 1}, "per"),
        ({"per": "month"}, "gpu_seconds"),
        ({"gpu_seconds": 1, "per": "month", "rollover": True}, "rollover"),
    ],
)
def test_what_is_no_budget_is_refused_by_name(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Budget.model_validate(wrong)
    assert [error["loc"] for error in refused.value.errors()] == [(field,)]


def test_a_project_that_was_kept_before_there_were_budgets_has_none() -> None:
    old = '{"id": "p1", "name": "One", "active": true, "created_at": "2026-01-01T12:00:00Z"}'
    assert Project.model_validate_json(old).budget is None


def test_what_waited_for_a_budget_could_start_with_the_month_or_with_another_budget() -> None:
    project, january = Project(id="p1", name="One", created_at=NOON), month_of(NOON)
    assert project.budget_began(NOON) is None
    assert project.model_copy(update={"budget": MONTHLY}).budget_began(NOON) == january
    assert project.model_copy(update={"budget": IN_ALL}).budget_began(NOON) is None
    for budget in (MONTHLY, IN_ALL, None):
        changed = project.model_copy(update={"budget": budget, "budget_since": NOON})
        assert changed.budget_began(NOON) == NOON
