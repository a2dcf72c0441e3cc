"""Errors that answer one question: again, or never?

`RetryableError` says the same request may succeed later; `PermanentError` says it never will.
Each class carries a stable `code`. How a code becomes an HTTP status or an answer to a delivery is
decided elsewhere (`chassis.problems`, `chassis.subscriptions`).
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue

MOST_PROBLEMS = 20
"""A request can be wrong in thousands of places; an answer that names them all helps nobody."""


class FieldProblem(BaseModel):
    """What is wrong with one field of a request: where, why, what is allowed and what was given."""

    model_config = ConfigDict(frozen=True)

    field: str
    detail: str
    allowed: JsonValue = None
    given: JsonValue = None


class Problem(BaseModel):
    """Problem details of RFC 9457, with the extensions every error of this platform carries.

    The same object answers an HTTP request, rejects a task request and explains a failed task.
    """

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int | None = None
    detail: str
    instance: str | None = None
    code: str
    retryable: bool
    errors: tuple[FieldProblem, ...] = ()

    @classmethod
    def of(cls, code: str, title: str, detail: str, *, retryable: bool, errors: Sequence[FieldProblem] = ()) -> Self:
        return cls(
            type=f"urn:movie-tasks:problem:{code}",
            title=title,
            detail=detail,
            code=code,
            retryable=retryable,
            errors=tuple(errors),
        )


class MovieTasksError(Exception):
    """Base of every error this platform raises on purpose."""

    code: ClassVar[str]
    title: ClassVar[str]
    retryable: ClassVar[bool]

    def __init__(self, detail: str, errors: Sequence[FieldProblem] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)

    def problem(self) -> Problem:
        return Problem.of(self.code, self.title, self.detail, retryable=self.retryable, errors=self.errors)


class PermanentError(MovieTasksError):
    """The same request will fail the same way however often it is repeated."""

    retryable: ClassVar[Literal[False]] = False


class RetryableError(MovieTasksError):
    """The same request may succeed later; `retry_after` says when to try, in seconds."""

    retryable: ClassVar[Literal[True]] = True

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class InvalidRequest(PermanentError):
    code = "invalid-request"
    title = "The request does not fit the catalog"


class Unauthenticated(PermanentError):
    code = "unauthenticated"
    title = "No valid API key"


class NotFound(PermanentError):
    """Also raised for what belongs to another project: the two must look the same from outside."""

    code = "not-found"
    title = "No such thing here"


class ProjectInactive(PermanentError):
    code = "project-inactive"
    title = "The project takes no tasks"


class IdempotencyMismatch(PermanentError):
    code = "idempotency-mismatch"
    title = "The idempotency key was used for another request"


class PayloadTooLarge(PermanentError):
    code = "payload-too-large"
    title = "The body is larger than allowed"


class UnsupportedMedia(PermanentError):
    code = "unsupported-media"
    title = "The file is not what it must be"


class RangeNotSatisfiable(PermanentError):
    code = "range-not-satisfiable"
    title = "The requested range lies outside the file"


class AlreadyExists(PermanentError):
    code = "already-exists"
    title = "Something with this id exists"


class IllegalTransition(PermanentError):
    code = "illegal-transition"
    title = "The task cannot do that from where it is"


class StaleAttempt(PermanentError):
    """Raised to a worker or storage that still acts for an attempt which is no longer the task's."""

    code = "stale-attempt"
    title = "Another attempt of this task has taken over"


class EndpointDisabled(PermanentError):
    code = "endpoint-disabled"
    title = "The webhook endpoint is disabled"


class CannotRedrive(PermanentError):
    code = "cannot-redrive"
    title = "The dead letter is not said again"


class MalformedEvent(PermanentError):
    code = "malformed-event"
    title = "The event does not follow its schema"


class StateConflict(RetryableError):
    """Somebody saved the record between the read and the write: read again, decide again."""

    code = "state-conflict"
    title = "The record changed meanwhile"


class LimitReached(RetryableError):
    """More of something at once, or more often, than there may be; `detail` is for the caller."""

    code = "limit-reached"
    title = "No more of these now"


class DependencyUnavailable(RetryableError):
    code = "dependency-unavailable"
    title = "Something this service needs does not answer"
