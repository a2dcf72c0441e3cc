"""Which tasks a command is about: one option per part of a selection."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from inspect import Signature, signature
from typing import Annotated, Any

import typer
from contracts.media import Medium
from contracts.operations import Selection
from contracts.tasks import Phase, Priority, Status
from pydantic import ValidationError

from operator_cli.failing import Exit, Failed

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Ids = Annotated[
    list[str] | None, typer.Argument(help="Task ids; none for all that the options leave.", show_default=False)
]
Projects = Annotated[list[str] | None, typer.Option("--project", "-p", help="Of this project; repeat for more.")]
Media = Annotated[list[Medium] | None, typer.Option("--medium", "-m", help="That make this.")]
Models = Annotated[list[str] | None, typer.Option("--model", help="For this model.")]
Statuses = Annotated[list[Status] | None, typer.Option("--status", "-s", help="With this status.")]
Phases = Annotated[list[Phase] | None, typer.Option("--phase", help="In this phase.")]
Priorities = Annotated[list[Priority] | None, typer.Option("--priority", help="With this priority.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", "-t", help="With this tag; with all of them if repeated.")]
OlderThan = Annotated[
    str | None, typer.Option("--older-than", help="Asked for longer ago, such as 90s, 30m, 2h or 3d.")
]
Words = Annotated[
    str | None, typer.Option("--search", "-q", help="With these words, or their beginnings, in title or prompt.")
]


def selects(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of a selection in place of its parameter `wanted`, which it is given."""
    options = signature(_selection).parameters
    parameters = [
        shown
        for name, own in signature(command).parameters.items()
        for shown in (options.values() if name == "wanted" else (own,))
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        wanted = _selection(**{name: given.pop(name) for name in options})
        command(wanted=wanted, **given)

    # Typer reads both.
    with_options.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options


def _selection(
    ids: Ids = None,
    projects: Projects = None,
    media: Media = None,
    models: Models = None,
    statuses: Statuses = None,
    phases: Phases = None,
    priorities: Priorities = None,
    tags: Tags = None,
    older_than: OlderThan = None,
    words: Words = None,
) -> Selection:
    """Raises `Failed` for what can be no task's."""
    parts: dict[str, Any] = {
        "ids": ids, "project": projects, "medium": media, "model": models, "status": statuses, "phase": phases,
        "priority": priorities, "tag": tags, "q": words,
    }  # fmt: skip
    if older_than is not None:
        parts["created_before"] = (datetime.now(UTC) - duration(older_than)).isoformat()
    try:
        return Selection.model_validate({name: part for name, part in parts.items() if part})
    except ValidationError as error:
        wrong = [f"{details['loc'][0]}: {details['msg']}" for details in error.errors(include_url=False)]
        raise Failed("these options name no tasks: " + "; ".join(wrong), Exit.USAGE) from None


def duration(text: str) -> timedelta:
    """Raises `Failed`."""
    found = re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    if found is None:
        raise Failed(f"{text!r} is no length of time; say 90s, 30m, 2h or 3d", Exit.USAGE)
    return timedelta(seconds=int(found[1]) * UNITS[found[2]])
