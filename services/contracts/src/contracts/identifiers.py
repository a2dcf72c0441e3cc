"""Identifiers and other small values, checked wherever they come in: most end up in a key or a path."""

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

TaskId = Annotated[str, StringConstraints(pattern=_UUID)]
MediaId = Annotated[str, StringConstraints(pattern=_UUID)]
GraphId = Annotated[str, StringConstraints(pattern=_UUID)]
SeriesId = Annotated[str, StringConstraints(pattern=_UUID)]
ProjectId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
WorkerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
ModelKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
NodeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""What a task is called in its graph."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
PlainText = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""Text without NUL, which Postgres cannot keep."""
Tag = Annotated[PlainText, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
RequestKey = Annotated[PlainText, StringConstraints(min_length=1, max_length=255)]


_NUMBER = re.compile(r"\s*[+-]?[0-9.]+\s*")


def _text(given: object) -> object:
    if isinstance(given, int | float) or (isinstance(given, str) and _NUMBER.fullmatch(given)):
        raise ValueError("a date and time is text, as in RFC 3339")
    return given


def _in_utc(given: datetime) -> datetime:
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise ValueError("is beyond the years 1 to 9999 in UTC") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_in_utc)]
"""A date and time as people send it, in UTC. Pydantic alone would take numbers, even in quotes, for a time, too."""

_TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def trace_parent(given: object) -> str | None:
    """The `traceparent` of W3C Trace Context, or None for anything else: a bad trace is no reason to refuse a task."""
    return given if isinstance(given, str) and _TRACE_PARENT.fullmatch(given) else None


_TASKS = uuid.UUID("5b1c3f0e-6d0a-5f0c-9a58-6d6f76696531")
_SERIES = uuid.UUID("5b1c3f0e-6d0a-5f0c-9a58-6d6f76696533")
_GRAPHS = uuid.UUID("5b1c3f0e-6d0a-5f0c-9a58-6d6f76696534")
_MEDIA = uuid.UUID("5b1c3f0e-6d0a-5f0c-9a58-6d6f76696532")


def task_id_for(project_id: str, request_key: str) -> str:
    """The one task id a request key has in a project: a repeated request meets its own record."""
    return str(uuid.uuid5(_TASKS, f"{project_id}\n{request_key}"))


def series_id_for(project_id: str, request_key: str) -> str:
    """The one series id a request key has in a project."""
    return str(uuid.uuid5(_SERIES, f"{project_id}\n{request_key}"))


def graph_id_for(project_id: str, request_key: str) -> str:
    """The one graph id a request key has in a project."""
    return str(uuid.uuid5(_GRAPHS, f"{project_id}\n{request_key}"))


def node_task_id_for(graph_id: str, node: str, content: str) -> str:
    """The id of the task that makes a node of a graph: the same for as long as what makes its result is the same."""
    return str(uuid.uuid5(_TASKS, f"{graph_id}\n{node}\n{content}"))


def media_id_for(task_id: str, attempt: int) -> str:
    """The id of what an attempt produced: storing it twice stores it once."""
    return str(uuid.uuid5(_MEDIA, f"{task_id}\n{attempt}"))
