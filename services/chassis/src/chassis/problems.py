"""Errors as RFC 9457 problem details. The only place that knows HTTP status codes for them."""

from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from contracts import errors
from contracts.errors import MOST_PROBLEMS, FieldProblem, MovieTasksError, Problem, RetryableError
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

log = structlog.get_logger(__name__)

TRY_AGAIN = "something this service needs does not answer just now; the same request will do later"
CONTENT_TYPE = "application/problem+json"

STATUS: Mapping[type[MovieTasksError], int] = {
    errors.InvalidRequest: 422,
    errors.Unauthenticated: 401,
    errors.NotFound: 404,
    errors.ProjectInactive: 403,
    errors.IdempotencyMismatch: 422,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.RangeNotSatisfiable: 416,
    errors.AlreadyExists: 409,
    errors.IllegalTransition: 409,
    errors.StaleAttempt: 409,
    errors.EndpointDisabled: 409,
    errors.CannotRedrive: 409,
    errors.MalformedEvent: 400,
    errors.LimitReached: 429,
    errors.StateConflict: 503,
    errors.DependencyUnavailable: 503,
}


_CONTENT = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_DESCRIPTIONS = {
    400: "The body cannot be read",
    401: "No valid key",
    403: "The project is suspended",
    404: "No such thing, or not in the key's project",
    409: "It cannot do that from where it is, or there is one already",
    413: "The body is larger than allowed",
    415: "Not a kind of file that is taken here",
    422: "The request does not fit; `errors` names field, allowed range and given value",
    429: "More than there may be at once, or more often; `Retry-After` says when to try again",
    503: "Something this service needs does not answer; try again",
}


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What FastAPI's `responses` says of the problems a route answers with."""
    return {status: {"description": _DESCRIPTIONS[status], "content": _CONTENT} for status in statuses}


def install_problems(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Makes every error of the app a problem, the framework's own included. `routes` are those people call."""
    app.add_exception_handler(MovieTasksError, _on_movie_tasks_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, partial(_on_http_exception, routes))
    app.add_exception_handler(Exception, _on_bug)


def problem_response(problem: Problem, status: int, headers: Mapping[str, str] | None = None) -> Response:
    body = problem.model_copy(update={"status": status}).model_dump_json(exclude_none=True)
    return Response(body, status, media_type=CONTENT_TYPE, headers=headers)


def _on_movie_tasks_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, MovieTasksError):
        raise error
    headers, problem = {}, error.problem()
    if isinstance(error, RetryableError):
        if not isinstance(error, errors.LimitReached):
            # Which server refused what is for operators, in the log; a caller is told to come again.
            problem = problem.model_copy(update={"detail": TRY_AGAIN})
        headers["Retry-After"] = str(max(1, round(error.retry_after or 1)))
        log.warning("answered with a problem", code=error.code, detail=error.detail)
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = 'ApiKey realm="movie-tasks"'
    return problem_response(_at(request, problem), STATUS[type(error)], headers)


def _on_validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    found = tuple(
        FieldProblem(field=".".join(str(part) for part in details["loc"][1:]), detail=details["msg"])
        for details in error.errors()[:MOST_PROBLEMS]
    )
    problem = Problem.of(
        "invalid-request",
        "The request does not follow the API's description",
        f"{len(error.errors())} field(s) are not what the API takes",
        retryable=False,
        errors=found,
    )
    return problem_response(_at(request, problem), 422)


def _on_http_exception(routes: Sequence[BaseRoute], request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail, headers = str(error.detail), dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_of(routes, request))
        detail = f"{request.method} is not offered here; use {headers['Allow']}"
    problem = Problem(type="about:blank", title=str(error.detail), detail=detail, code="http-error", retryable=False)
    return problem_response(_at(request, problem), error.status_code, headers)


def _methods_of(routes: Sequence[BaseRoute], request: Request) -> list[str]:
    """What every route with this path takes; Starlette names the methods of the first alone.

    What one route spells out is no value of another route's parameter.
    """
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    fewest = min((_parameters(route) for route in matching), default=0)
    closest = [route for route in matching if _parameters(route) == fewest]
    return sorted({method for route in closest for method in getattr(route, "methods", None) or ()})


def _parameters(route: BaseRoute) -> int:
    return len(getattr(route, "param_convertors", ()))


def _on_bug(request: Request, error: Exception) -> Response:
    log.error("a request met a bug", path=request.url.path, exc_info=error)
    problem = Problem.of(
        "internal-error",
        "Something went wrong on our side",
        "The request was not carried out. The log holds the cause under the correlation id of this answer.",
        retryable=True,
    )
    return problem_response(_at(request, problem), 500)


def _at(request: Request, problem: Problem) -> Problem:
    return problem.model_copy(update={"instance": request.url.path})
