"""`movie-tasks support-bundle`: what somebody needs to see who is to help, in one file and without secrets."""

import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from contracts.operations import ActionView, CrowdView, LetterView, TaskDossier
from contracts.pauses import PauseView
from contracts.secrets import hidden
from contracts.views import Health
from contracts.workers import WorkerStatus
from pydantic import TypeAdapter

from operator_cli.failing import Exit, Failed
from operator_cli.platform import Platform, as_operator, in_address
from operator_cli.showing import say

MOST_LISTED = 500
Part = Callable[[Platform], Any]


def _letters(platform: Platform) -> list[dict[str, Any]]:
    """Without what the events say, which may be anything."""
    found = platform.get(list[LetterView], "admin/dead-letters", limit=MOST_LISTED)
    return [letter.model_dump(mode="json", exclude={"event"}) for letter in found]


PARTS: Mapping[str, Part] = {
    "health.json": lambda platform: platform.get(Health, "health"),
    "workers.json": lambda platform: platform.get(list[WorkerStatus], "admin/workers"),
    "queue.json": lambda platform: platform.get(list[CrowdView], "admin/queue"),
    "pauses.json": lambda platform: platform.get(list[PauseView], "admin/pauses"),
    "audit.json": lambda platform: platform.get(list[ActionView], "admin/audit", limit=MOST_LISTED),
    "dead-letters.json": _letters,
    "metrics.txt": lambda platform: platform.fetch("/metrics").text,
}


def support_bundle(
    file: Annotated[Path | None, typer.Option(help="Where to write it; by default movie-tasks-….zip here.")] = None,
    task: Annotated[str | None, typer.Option(help="With this task's record and history.")] = None,
) -> None:
    """Write health, workers, queue, audit and dead letters into one file. It holds no secrets, but titles and prompts
    of the task that is named."""
    made_at = datetime.now(UTC)
    path = file or Path(f"movie-tasks-{made_at:%Y%m%d-%H%M%S}.zip")
    parts = dict(PARTS)
    if task is not None:
        parts["task.json"] = lambda platform: platform.get(TaskDossier, f"admin/tasks/{in_address(task)}")
    with as_operator() as platform:
        found, missing = _collect(platform, parts)
    about = {"made_at": made_at, "movie_tasks": version("movie-tasks-operator-cli"), "missing": missing}
    try:
        with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as bundle:
            for name, content in {"about.json": about, **found}.items():
                bundle.writestr(name, _written(content))
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}", Exit.USAGE) from None
    say(f"{path} holds {', '.join(found)}.")
    for name, reason in missing.items():
        say(f"Without {name}: {reason}")


def _collect(platform: Platform, parts: Mapping[str, Part]) -> tuple[dict[str, Any], dict[str, str]]:
    """What can be had; a platform in trouble answers some of it. Raises `Failed` when the key is refused."""
    found, missing = dict[str, Any](), dict[str, str]()
    for name, part in parts.items():
        try:
            found[name] = part(platform)
        except Failed as failed:
            if failed.code is Exit.NOT_ALLOWED:
                raise
            missing[name] = str(failed)
    return found, missing


def _written(content: Any) -> str:
    """There is none to be expected in it; should one have got into a title or a reason, it goes no further."""
    text = content if isinstance(content, str) else TypeAdapter(Any).dump_json(content, indent=2).decode()
    return hidden(text)
