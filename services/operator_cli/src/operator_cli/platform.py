"""The platform's API, and its errors in words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from contracts.errors import Problem
from contracts.views import API
from pydantic import BaseModel, TypeAdapter, ValidationError

from operator_cli.failing import Exit, Failed
from operator_cli.settings import CliSettings

Answer = TypeVar("Answer")


class Platform:
    """Calls with one key. Every method raises `Failed`."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, as_: type[Answer], path: str, **params: Any) -> Answer:
        return self._read(as_, self._send("GET", path, params=_without_nothing(params)))

    def send(self, as_: type[Answer], method: str, path: str, body: BaseModel | Mapping[str, Any]) -> Answer:
        content = body.model_dump_json() if isinstance(body, BaseModel) else None
        options = {"content": content} if content is not None else {"json": body}
        return self._read(as_, self._send(method, path, headers={"Content-Type": "application/json"}, **options))

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def fetch(self, path: str) -> httpx.Response:
        """An answer that is no JSON of the API's."""
        return self._send("GET", path)

    def without_key(self, address: str) -> httpx.Response:
        """What an address answers to somebody who has no key."""
        with httpx.Client(base_url=self._http.base_url, timeout=self._http.timeout) as http:
            return Platform(http).fetch(address)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        address = path if path.startswith(("/", "http")) else f"{API}/{path}"
        try:
            answer = self._http.request(method, address, **options)
        except httpx.TimeoutException:
            raise Failed(
                f"{self._http.base_url} did not answer in time; MOVIE_TASKS_TIMEOUT_SECONDS says how long to wait",
                Exit.UNREACHABLE,
            ) from None
        except httpx.TransportError as error:
            raise Failed(
                f"{self._http.base_url} cannot be reached: {error}. Is MOVIE_TASKS_URL right, and the platform up?",
                Exit.UNREACHABLE,
            ) from None
        if answer.is_success:
            return answer
        raise _failure(answer)

    def _read(self, as_: type[Answer], answer: httpx.Response) -> Answer:
        try:
            return TypeAdapter(as_).validate_json(answer.content)
        except ValidationError as error:
            raise Failed(
                f"{answer.request.url.path} answers what this version of movie-tasks does not understand "
                f"({error.error_count()} field(s)); is it of another version than the platform?"
            ) from None


@contextmanager
def as_operator(transport: httpx.BaseTransport | None = None) -> Iterator[Platform]:
    settings = _settings()
    if not settings.admin_key.get_secret_value():
        raise Failed(
            "set MOVIE_TASKS_ADMIN_KEY to the operator's key; it is never taken from the command line", Exit.USAGE
        )
    headers = {"X-Admin-Key": settings.admin_key.get_secret_value(), "X-Operator": _name(settings)}
    with _client(settings, headers, transport) as http:
        yield Platform(http)


@contextmanager
def as_project(transport: httpx.BaseTransport | None = None) -> Iterator[Platform]:
    settings = _settings()
    if not settings.key.get_secret_value():
        raise Failed("set MOVIE_TASKS_KEY to a project's API key; it is never taken from the command line", Exit.USAGE)
    with _client(settings, {"X-API-Key": settings.key.get_secret_value()}, transport) as http:
        yield Platform(http)


def in_address(text: str) -> str:
    """As part of an address, whatever somebody typed."""
    return quote(text, safe="")


def _settings() -> CliSettings:
    try:
        settings = CliSettings()
    except ValidationError as error:
        wrong = ", ".join(f"MOVIE_TASKS_{details['loc'][0]}".upper() for details in error.errors())
        raise Failed(f"{wrong} cannot be used", Exit.USAGE) from None
    if not settings.url.startswith(("http://", "https://")):
        raise Failed("set MOVIE_TASKS_URL to where the API is, such as https://tasks.example.com", Exit.USAGE)
    return settings


def _client(settings: CliSettings, headers: Mapping[str, str], transport: httpx.BaseTransport | None) -> httpx.Client:
    try:
        return httpx.Client(
            base_url=settings.url, headers=headers, timeout=settings.timeout_seconds, transport=transport
        )
    except httpx.InvalidURL as error:
        raise Failed(f"MOVIE_TASKS_URL is no address: {error}", Exit.USAGE) from None


def _name(settings: CliSettings) -> str:
    name = settings.operator.strip()
    if not name.isascii() or not name.isprintable() or len(name) > 100:
        raise Failed("MOVIE_TASKS_OPERATOR must be at most 100 plain ASCII characters", Exit.USAGE)
    return name


def _failure(answer: httpx.Response) -> Failed:
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:
        return Failed(
            f"{answer.request.url} answers {answer.status_code}, and not as this API does; is MOVIE_TASKS_URL right?"
        )
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return Failed(f"the platform refuses the key: {problem.detail}", Exit.NOT_ALLOWED)
    fields = _in_words(problem)
    code = Exit.UNREACHABLE if problem.retryable else Exit.NOT_ALL
    return Failed(f"{problem.title}: {problem.detail}{fields}", code, problem.code)


def _in_words(problem: Problem) -> str:
    return "".join(f"\n  {one.field}: {one.detail}" for one in problem.errors)


def _without_nothing(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value not in (None, [], ())}
