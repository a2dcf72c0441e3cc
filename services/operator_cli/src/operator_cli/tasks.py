"""`movie-tasks tasks`: list, show, cancel, retry, prioritise."""

from typing import Annotated

import typer
from contracts.errors import Problem
from contracts.operations import BulkAction, Selection, TaskDossier
from contracts.tasks import Priority
from contracts.views import TaskPage, TaskView

from operator_cli.bulk import AllOption, DryRun, Limit, Yes, change
from operator_cli.platform import Platform, as_operator, in_address
from operator_cli.selecting import selects
from operator_cli.showing import Output, OutputOption, ago, length, say, show_fields, show_json, show_table

app = typer.Typer(no_args_is_help=True, help="Tasks of all projects.")
PAGE = 200
SORTS = ("-created_at", "created_at", "-updated_at", "updated_at", "-priority", "priority")


def _sorts(incomplete: str) -> list[str]:
    return [sort for sort in SORTS if sort.startswith(incomplete)]


@app.command("list")
@selects
def list_tasks(
    wanted: Selection,
    sort: Annotated[str, typer.Option(help=f"One of {', '.join(SORTS)}.", autocompletion=_sorts)] = SORTS[0],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Show at most so many.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """List tasks, the newest first."""
    with as_operator() as platform:
        found, more = _pages(platform, wanted, sort, limit)
    if output is Output.JSON:
        show_json(found)
        return
    columns = ("id", "project", "model", "phase", "priority", "asked for", "title")
    rows = [
        (task.id, task.project_id, task.model, _progress(task), task.priority, ago(task.created_at), task.title)
        for task in found
    ]
    show_table("Tasks", columns, rows, "No task is like that.")
    if more:
        say(f"There are more than {limit}: narrow the selection, or raise --limit.")


def _pages(platform: Platform, wanted: Selection, sort: str, limit: int) -> tuple[list[TaskView], bool]:
    query = wanted.model_dump(mode="json", exclude_defaults=True)
    found: list[TaskView] = []
    cursor = None
    while True:
        size = min(PAGE, limit - len(found))
        page = platform.get(TaskPage, "admin/tasks", **query, sort=sort, limit=size, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None or len(found) >= limit:
            return found, cursor is not None


@app.command()
def show(
    task_id: Annotated[str, typer.Argument(help="The task's id.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show a task and everything that happened to it."""
    with as_operator() as platform:
        dossier = platform.get(TaskDossier, f"admin/tasks/{in_address(task_id)}")
    if output is Output.JSON:
        show_json(dossier)
        return
    task = dossier.task
    show_fields(
        [
            ("id", task.id), ("project", task.project_id), ("title", task.title), ("model", task.model),
            ("status", f"{task.status} ({_progress(task)})"), ("priority", task.priority),
            ("tags", ", ".join(task.tags)), ("worker", task.worker_id),
            ("attempt", f"{task.attempt}, {task.failures} of {task.max_failures} failures"),
            ("asked for", ago(task.created_at)), ("error", _error(task.error)),
            ("spent", ", ".join(f"{phase} {length(seconds)}" for phase, seconds in task.phase_seconds.items())),
        ]
    )  # fmt: skip
    columns = ("seq", "when", "event", "phase", "attempt", "worker", "detail")
    rows = [
        (one.seq, f"{one.at:%H:%M:%S}", one.type, one.phase, one.attempt, one.worker_id, one.detail)
        for one in dossier.history
    ]
    show_table("History", columns, rows, "Nothing was heard of it yet.")


def _progress(task: TaskView) -> str:
    done = f" {task.progress.fraction:.0%}" if task.progress is not None else ""
    return f"{task.phase}{done}{', to be cancelled' if task.cancel_requested and not task.finished_at else ''}"


def _error(error: Problem | None) -> str | None:
    return f"{error.title}: {error.detail}" if error is not None else None


def _command_for(action: BulkAction, help_: str) -> None:
    @app.command(action.value, help=help_)
    @selects
    def command(
        wanted: Selection,
        all_: AllOption = False,
        limit: Limit = PAGE,
        dry_run: DryRun = False,
        yes: Yes = False,
        output: OutputOption = Output.TABLE,
    ) -> None:
        change(action, None, wanted, everything=all_, limit=limit, dry_run=dry_run, yes=yes, output=output)


_command_for(BulkAction.CANCEL, "Cancel tasks: at once while they wait, at their next step while they run.")
_command_for(BulkAction.RETRY, "Send tasks round again that failed, were cancelled or expired.")


@app.command()
@selects
def prioritise(
    to: Annotated[Priority, typer.Argument(help="The new priority.")],
    wanted: Selection,
    all_: AllOption = False,
    limit: Limit = PAGE,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Move tasks before or behind others that wait."""
    change(BulkAction.PRIORITISE, to, wanted, everything=all_, limit=limit, dry_run=dry_run, yes=yes, output=output)
