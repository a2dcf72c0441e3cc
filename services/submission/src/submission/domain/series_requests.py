"""Whether a series can be what somebody asks for."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from contracts.catalog.requests import FURTHEST_AHEAD, SHOWN_OF_GIVEN
from contracts.digests import digest_of_json
from contracts.errors import FieldProblem, InvalidRequest
from contracts.series import SeriesPlan
from pydantic import JsonValue

from submission.domain.occurrences import FIELDS, LONGEST_CRON, ImpossibleRule, check_cron, occurrences, time_zones
from submission.domain.series import begins_after

MOST_TIMES = 100_000
LONGEST_INTERVAL = timedelta(days=366)
RELATIVE = {"due_after_seconds": "due_at", "expires_after_seconds": "expires_at"}
ABSOLUTE = ("start_at", *RELATIVE.values())


def check_plan(plan: SeriesPlan, shortest: timedelta, now: datetime) -> None:
    """Raises `InvalidRequest`, which names each field, what is allowed and what was given."""
    wrong = [*_rule_problems(plan, shortest), *_end_problems(plan, now), *_template_problems(plan.request)]
    if wrong:
        raise InvalidRequest(f"{len(wrong)} field(s) of the series cannot be", wrong)


def check_has_times(plan: SeriesPlan, now: datetime) -> None:
    """A new series that would never ask for anything is a slip of the hand. Raises `InvalidRequest`."""
    if next(occurrences(plan, begins_after(plan, now)), None) is None:
        wrong = _wrong("until_at", "leaves no time that the rule fits", "after the first time", plan.until_at)
        raise InvalidRequest("the series would have no times", [wrong])


def _rule_problems(plan: SeriesPlan, shortest: timedelta) -> list[FieldProblem]:
    if (plan.cron is None) == (plan.every_seconds is None):
        given = "neither" if plan.cron is None else "both"
        return [_wrong("cron", "says when, or every_seconds does", "one of cron and every_seconds", given)]
    wrong = []
    if plan.time_zone not in time_zones():
        wrong.append(_wrong("time_zone", "is no time zone", "a name of the IANA database", plan.time_zone))
    if plan.cron is not None:
        try:
            check_cron(plan.cron)
        except ImpossibleRule as impossible:
            allowed = f"{FIELDS} fields: minute hour day-of-month month day-of-week, {LONGEST_CRON} characters"
            wrong.append(_wrong("cron", f"is no rule that can be: {impossible}", allowed, plan.cron))
    if plan.every_seconds is not None:
        wrong += _beyond("every_seconds", plan.every_seconds, shortest, LONGEST_INTERVAL)
    return wrong


def _end_problems(plan: SeriesPlan, now: datetime) -> list[FieldProblem]:
    wrong = []
    if plan.from_at > now + FURTHEST_AHEAD:
        wrong.append(_wrong("from_at", "is too far ahead", f"within {FURTHEST_AHEAD.days} days", plan.from_at))
    if plan.until_at is not None and plan.until_at <= plan.from_at:
        wrong.append(_wrong("until_at", "comes before the start", f"after {plan.from_at.isoformat()}", plan.until_at))
    if plan.count is not None and not 1 <= plan.count <= MOST_TIMES:
        wrong.append(_wrong("count", "is no number of times", {"min": 1, "max": MOST_TIMES}, plan.count))
    return wrong


def _template_problems(request: Mapping[str, JsonValue]) -> list[FieldProblem]:
    wrong = [
        _wrong(f"request.{name}", "is another moment for each instance", list(RELATIVE), request[name])
        for name in ABSOLUTE
        if name in request
    ]
    wrong += _reminder_problems(request)
    for name in RELATIVE.keys() & request.keys():
        given = request[name]
        if not isinstance(given, int) or isinstance(given, bool):
            wrong.append(_wrong(f"request.{name}", "is no whole number of seconds", "seconds", given))
        else:
            wrong += _beyond(f"request.{name}", given, timedelta(seconds=1), FURTHEST_AHEAD)
    return wrong


def _reminder_problems(request: Mapping[str, JsonValue]) -> list[FieldProblem]:
    """The rest of a reminder is judged as that of a task."""
    given = request.get("reminders")
    reminders = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    relative = "before_due_seconds, with due_after_seconds"
    return [
        _wrong(f"request.reminders.{number}.at", "is another moment for each instance", relative, one["at"])
        for number, one in enumerate(reminders)
        if one.get("at") is not None
    ]


def _beyond(field: str, seconds: int, least: timedelta, most: timedelta) -> list[FieldProblem]:
    if least.total_seconds() <= seconds <= most.total_seconds():
        return []
    allowed: JsonValue = {"min": least.total_seconds(), "max": most.total_seconds()}
    return [_wrong(field, "is out of range", allowed, seconds)]


def _wrong(field: str, detail: str, allowed: JsonValue | Sequence[str], given: Any) -> FieldProblem:
    return FieldProblem(field=field, detail=detail, allowed=_plain(allowed), given=_shown(given))


def _plain(allowed: JsonValue | Sequence[str]) -> JsonValue:
    return allowed if isinstance(allowed, str | dict) or allowed is None else list(allowed)  # type: ignore[arg-type]


def _shown(given: Any) -> JsonValue:
    if isinstance(given, datetime):
        return given.isoformat()
    if isinstance(given, int | float | bool) and abs(given) < 2**53:
        return given
    return str(given)[:SHOWN_OF_GIVEN]


def instance_request(template: Mapping[str, JsonValue], at: datetime) -> dict[str, Any]:
    """The task request for one of the times."""
    request = {name: value for name, value in template.items() if name not in RELATIVE}
    request["start_at"] = at.isoformat()
    for name, moment in RELATIVE.items():
        seconds = template.get(name)
        if isinstance(seconds, int):
            request[moment] = (at + timedelta(seconds=seconds)).isoformat()
    return request


def in_request(problem: FieldProblem) -> FieldProblem:
    """A problem of the instance as one of the series' template."""
    return problem.model_copy(update={"field": f"request.{problem.field}"})


def plan_digest(fields: Mapping[str, Any]) -> str:
    """By which a repeated request is known."""
    return digest_of_json(fields, "series")
