"""Which times a request may name."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from contracts.catalog.requests import FURTHEST_AHEAD
from contracts.errors import InvalidRequest
from contracts.tasks import Reminder, TaskRequest
from contracts.testing.examples import NOON, a_task
from submission.domain import check_times

HOUR = timedelta(hours=1)


def asked(**times: Any) -> TaskRequest:
    return a_task(**times)


@pytest.mark.parametrize(
    "times",
    [
        {},
        {"start_at": NOON - HOUR},
        {"start_at": NOON + HOUR, "due_at": NOON + 2 * HOUR, "expires_at": NOON + 3 * HOUR},
        {"due_at": NOON + HOUR},
        {"expires_at": NOON - HOUR},
        {"start_at": NOON + FURTHEST_AHEAD},
    ],
)
def test_what_can_come_about(times: dict[str, datetime]) -> None:
    check_times(asked(**times), NOON)


@pytest.mark.parametrize(
    ("times", "wrong"),
    [
        ({"start_at": NOON + FURTHEST_AHEAD + HOUR}, "start_at"),
        ({"start_at": datetime.fromisoformat("9999-12-31T23:59:59+00:00")}, "start_at"),
        ({"due_at": NOON}, "due_at"),
        ({"due_at": NOON - HOUR}, "due_at"),
        ({"start_at": NOON + HOUR, "due_at": NOON + HOUR}, "due_at"),
        ({"start_at": NOON + HOUR, "expires_at": NOON + HOUR}, "expires_at"),
    ],
)
def test_what_cannot_is_refused_by_name(times: dict[str, datetime], wrong: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_times(asked(**times), NOON)
    assert [problem.field for problem in refused.value.errors] == [wrong]
    assert refused.value.errors[0].allowed


def at(moment: datetime) -> dict[str, Any]:
    return {"at": moment.isoformat()}


def before(seconds: int) -> dict[str, Any]:
    return {"before_due_seconds": seconds}


@pytest.mark.parametrize(
    "reminders",
    [[at(NOON + HOUR)], [before(0)], [before(3600), before(7199)], [at(NOON + 3 * HOUR)], [at(NOON + FURTHEST_AHEAD)]],
)
def test_reminders_that_can_be_said(reminders: list[dict[str, Any]]) -> None:
    check_times(asked(due_at=NOON + 2 * HOUR, reminders=reminders), NOON)


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        ({"reminders": [at(NOON)]}, {"reminders.0.at": "2026-01-01T12:00:00Z"}),
        ({"reminders": [at(NOON + HOUR), at(NOON - HOUR)]}, {"reminders.1.at": "2026-01-01T11:00:00Z"}),
        ({"reminders": [at(NOON + FURTHEST_AHEAD + HOUR)]}, {"reminders.0.at": "2028-01-01T13:00:00Z"}),
        ({"reminders": [before(60)]}, {"reminders.0.before_due_seconds": 60}),
        ({"due_at": NOON + HOUR, "reminders": [before(3600)]}, {"reminders.0.before_due_seconds": 3600}),
        (
            {"due_at": NOON + 2 * HOUR, "reminders": [before(3600), at(NOON + HOUR), before(3600)]},
            {"reminders.1.at": "2026-01-01T13:00:00Z", "reminders.2.before_due_seconds": 3600},
        ),
    ],
)
def test_reminders_that_cannot_are_refused_one_by_one(request_: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_times(asked(**request_), NOON)
    assert {problem.field: problem.given for problem in refused.value.errors} == wrong
    assert all(problem.allowed and problem.detail for problem in refused.value.errors)


def test_a_deadline_before_all_time_is_refused_with_its_reminders() -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_times(asked(due_at=datetime.fromisoformat("0001-01-01T00:00:01+00:00"), reminders=[before(60)]), NOON)
    assert [problem.field for problem in refused.value.errors] == ["due_at", "reminders.0.before_due_seconds"]


def test_a_reminder_counts_from_the_deadline() -> None:
    assert Reminder(before_due_seconds=90).moment(NOON) == NOON - timedelta(seconds=90)
    assert Reminder(before_due_seconds=90).moment(None) is None
