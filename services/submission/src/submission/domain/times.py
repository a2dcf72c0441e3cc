"""Which times a request may name."""

from collections.abc import Iterator
from datetime import datetime

from contracts.catalog.requests import FURTHEST_AHEAD
from contracts.errors import FieldProblem, InvalidRequest
from contracts.tasks import TaskRequest


def check_times(request: TaskRequest, now: datetime) -> None:
    """What is scheduled must be able to come about. Raises `InvalidRequest`."""
    start = max(request.start_at or now, now)
    wrong = []
    if start > now + FURTHEST_AHEAD:
        wrong.append(_bad_time("start_at", "is too far ahead", request.start_at, f"within {FURTHEST_AHEAD.days} days"))
    if request.due_at is not None and request.due_at <= start:
        wrong.append(_bad_time("due_at", "could not be met by any run", request.due_at, f"after {start.isoformat()}"))
    if request.start_at and request.expires_at and request.expires_at <= start:
        early = "comes before it may start"
        wrong.append(_bad_time("expires_at", early, request.expires_at, f"after {start.isoformat()}"))
    wrong += _bad_reminders(request, now)
    if wrong:
        raise InvalidRequest(f"{len(wrong)} time(s) do not fit each other", wrong)


def without_past_reminders(request: TaskRequest, now: datetime) -> TaskRequest:
    """For what nobody asks for at this moment: an instance of a series may be made after its reminders' moments."""
    ahead = [one for one in request.reminders if (moment := one.moment(request.due_at)) is None or moment > now]
    return request.model_copy(update={"reminders": tuple(ahead)})


def _bad_reminders(request: TaskRequest, now: datetime) -> Iterator[FieldProblem]:
    first: dict[datetime, int] = {}
    for index, reminder in enumerate(request.reminders):
        moment = reminder.moment(request.due_at)
        if moment is None:
            detail, allowed = "there is no deadline to count back from", "a due_at beside it, or at in its place"
        elif moment <= now:
            detail, allowed = f"means {moment.isoformat()}, which has passed", f"after {now.isoformat()}"
        elif moment > now + FURTHEST_AHEAD:
            detail, allowed = "is too far ahead", f"within {FURTHEST_AHEAD.days} days"
        elif (same := first.setdefault(moment, index)) != index:
            detail, allowed = f"is the same moment as that of reminders.{same}", "a moment of its own for each"
        else:
            continue
        [(name, given)] = reminder.model_dump(
            mode="json", include={"at", "before_due_seconds"}, exclude_none=True
        ).items()
        yield FieldProblem(field=f"reminders.{index}.{name}", detail=detail, allowed=allowed, given=given)


def _bad_time(field: str, detail: str, given: datetime | None, allowed: str) -> FieldProblem:
    return FieldProblem(field=field, detail=detail, allowed=allowed, given=given.isoformat() if given else None)
