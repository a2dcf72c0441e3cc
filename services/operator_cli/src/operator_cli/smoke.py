"""`movie-tasks smoke`: one tiny task through the whole platform, as a project's people would use it."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from contracts.tasks import Phase, Status
from contracts.views import Health, MediaLink, MediaView, TaskStatus, TaskView
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from operator_cli.failing import Failed
from operator_cli.platform import Platform, as_project
from operator_cli.showing import Output, OutputOption, errors, say, show_json, show_table

LOOK_EVERY_SECONDS = 0.5
COLUMNS = (
    SpinnerColumn(finished_text="•"),
    TextColumn("{task.description}"),
    BarColumn(bar_width=32),
    TextColumn("{task.fields[phase]}"),
    TimeElapsedColumn(),
)


@dataclass
class Timings:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """A failure is told with the step in which it happened."""
        began = time.monotonic()
        try:
            yield
        except Failed as failed:
            raise Failed(f"smoke test failed, {step}: {failed}", failed.code) from None
        self.seconds[step] = time.monotonic() - began


def smoke(
    model: Annotated[str, typer.Option(help="What makes the file; a small one.")] = "tiny-image",
    prompt: Annotated[str, typer.Option(help="What it is asked for.")] = "a red circle",
    within: Annotated[int, typer.Option(min=1, max=7200, help="Seconds that the task may take.")] = 300,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make one small file and fetch it, with the timings of each step. Opened by MOVIE_TASKS_KEY."""
    timings = Timings()
    with as_project() as platform:
        with timings.of("health"):
            health = platform.get(Health, "health")
        with timings.of("models"):
            _check_offered(platform, model)
        with timings.of("submit"):
            body = {"model": model, "params": {"prompt": prompt}, "title": "Smoke test", "tags": ["smoke"]}
            task = platform.send(TaskView, "POST", "tasks/submit", body)
        with timings.of("wait until done"):
            task = _wait(platform, task, within)
        with timings.of("fetch by link"):
            media = _fetch(platform, task)
    if output is Output.JSON:
        show_json({"task": task, "health": health, "seconds": timings.seconds})
        return
    rows = [(step, f"{seconds:.3f} s") for step, seconds in timings.seconds.items()]
    rows += [(f"  of it {phase}", f"{spent:.3f} s") for phase, spent in task.phase_seconds.items()]
    show_table("Smoke test passed", ("step", "took"), rows, "")
    say(f"{media.content_type}, {media.size} bytes, as their SHA-256 says; task {task.id}, platform {health.version}.")


def _check_offered(platform: Platform, model: str) -> None:
    offered = {one["key"]: one for one in platform.get(list[dict[str, Any]], "models")}
    if model not in offered:
        raise Failed(f"model {model} is not offered; --model takes one of {', '.join(offered) or 'none'}")
    if not offered[model]["workers"]:
        errors.print(f"No worker can run {model} just now: the task waits until one comes.", style="yellow")


def _wait(platform: Platform, task: TaskView, within: int) -> TaskView:
    last = time.monotonic() + within
    with Progress(*COLUMNS, console=errors, transient=True) as progress:
        bar = progress.add_task(f"{task.model}", total=1.0, phase=task.phase.value)
        while task.finished_at is None:
            if time.monotonic() > last:
                raise Failed(f"task {task.id} is {task.phase.value} after {within} s; {_advice(task)}")
            time.sleep(LOOK_EVERY_SECONDS)
            task = platform.get(TaskStatus, f"tasks/{task.id}/status")
            done = task.progress.fraction if task.progress is not None else 0.0
            progress.update(bar, completed=done, phase=task.phase.value)
    if task.status is not Status.DONE:
        why = f": {task.error.title}, {task.error.detail}" if task.error is not None else ""
        raise Failed(f"task {task.id} ended as {task.phase.value}{why}")
    return task


def _advice(task: TaskView) -> str:
    if isinstance(task, TaskStatus) and task.paused is not None:
        return task.paused.in_words
    if task.phase in (Phase.QUEUED, Phase.ASSIGNED, Phase.RETRY_WAIT):
        return "see `movie-tasks workers list` for who could run it, and `movie-tasks pauses list` for what is paused"
    return f"see `movie-tasks tasks show {task.id}`"


def _fetch(platform: Platform, task: TaskView) -> MediaView:
    media = task.result
    if media is None:
        raise Failed(f"task {task.id} is done and has no result")
    link = platform.send(MediaLink, "POST", f"media/{media.id}/link", {})
    answer = platform.without_key(link.url)
    if answer.headers.get("content-type") != media.content_type:
        raise Failed(f"the link answers {answer.headers.get('content-type')}, not {media.content_type}")
    if hashlib.sha256(answer.content).hexdigest() != media.sha256 or len(answer.content) != media.size:
        raise Failed(f"the file that the link answers is not the one that was stored: {len(answer.content)} bytes")
    return media
