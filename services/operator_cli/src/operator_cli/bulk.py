"""One thing done to many tasks: shown first, confirmed, and then done to exactly what was shown."""

import sys
from collections import Counter
from typing import Annotated

import typer
from contracts.operations import (
    MOST_AT_ONCE,
    BulkAction,
    BulkReport,
    BulkRequest,
    Outcome,
    Selection,
    TaskOutcome,
)
from contracts.tasks import Priority
from pydantic import ValidationError
from rich.text import Text

from operator_cli.failing import Exit, Failed
from operator_cli.platform import Platform, as_operator
from operator_cli.showing import Output, plain, say, show_json, show_table

AllOption = Annotated[bool, typer.Option("--all", help="Of all tasks there are; wanted when nothing else is named.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=10_000, help="Look at so many tasks at most, the oldest first.")
]

COLOURS = {Outcome.CHANGED: "green", Outcome.WOULD_CHANGE: "yellow", Outcome.REFUSED: "red"}


def change(
    action: BulkAction,
    priority: Priority | None,
    select: Selection,
    *,
    everything: bool,
    limit: int,
    dry_run: bool,
    yes: bool,
    output: Output,
) -> None:
    """Raises `Failed`, also when something that was to change was refused in the end."""
    try:
        first = BulkRequest(
            action=action, priority=priority, select=select, all=everything, limit=min(limit, MOST_AT_ONCE)
        )
    except ValidationError:
        raise Failed("name tasks by their ids or by options, or say --all", Exit.USAGE) from None
    with as_operator() as platform:
        preview = _dry_run(platform, first, limit)
        changing = [item.task_id for item in preview.items if item.outcome is Outcome.WOULD_CHANGE]
        if dry_run or not changing:
            _show(preview, output)
            if not dry_run and preview.by_outcome.get(Outcome.REFUSED):
                raise Failed("none of these can be changed so")
            return
        if not yes:
            _confirm(preview, len(changing), output)
        report = _carry_out(platform, first, changing, preview)
    _show(report, output)
    if report.by_outcome.get(Outcome.REFUSED):
        raise Failed(f"{report.by_outcome[Outcome.REFUSED]} of {len(report.items)} could not be changed")


def _dry_run(platform: Platform, request: BulkRequest, limit: int) -> BulkReport:
    items: list[TaskOutcome] = []
    while True:
        request = request.model_copy(update={"limit": min(MOST_AT_ONCE, limit - len(items))})
        report = platform.send(BulkReport, "POST", "admin/tasks/bulk", request)
        items += report.items
        if report.next_cursor is None or len(items) >= limit:
            return _merged(report, items)
        request = request.model_copy(update={"cursor": report.next_cursor})


def _carry_out(platform: Platform, request: BulkRequest, task_ids: list[str], preview: BulkReport) -> BulkReport:
    """By their ids, so that nothing changes that was not shown; within the selection, so that nothing does that has
    left it since."""
    items: list[TaskOutcome] = []
    for begin in range(0, len(task_ids), MOST_AT_ONCE):
        some = task_ids[begin : begin + MOST_AT_ONCE]
        select = request.select.model_copy(update={"ids": tuple(some)})
        doing = request.model_copy(
            update={"select": select, "all": False, "dry_run": False, "limit": MOST_AT_ONCE, "cursor": None}
        )
        items += platform.send(BulkReport, "POST", "admin/tasks/bulk", doing).items
    return _merged(preview.model_copy(update={"dry_run": False}), items)


def _merged(last: BulkReport, items: list[TaskOutcome]) -> BulkReport:
    return last.model_copy(update={"items": items, "by_outcome": Counter(item.outcome for item in items)})


def _confirm(preview: BulkReport, changing: int, output: Output) -> None:
    if output is Output.TABLE:
        _show(preview, output)
    if not sys.stdin.isatty():
        raise Failed(f"{changing} task(s) would change; add --yes to do it without being asked", Exit.USAGE)
    if not typer.confirm(f"{preview.action.value.capitalize()} {changing} task(s)?", err=True):
        raise Failed("nothing was changed")


def _show(report: BulkReport, output: Output) -> None:
    if output is Output.JSON:
        show_json(report)
        return
    rows = [(item.task_id, item.project_id, item.title, _change(item), _outcome(item)) for item in report.items]
    title = f"{report.action.value}{', dry run' if report.dry_run else ''}"
    columns = ("id", "project", "title", "change", "outcome")
    show_table(title, columns, rows, "No task is like that.")
    if report.items:
        counted = ", ".join(
            f"{count} {outcome.value.replace('_', ' ')}" for outcome, count in report.by_outcome.items()
        )
        say(f"{counted}; the selection matches {report.matched}.")
    if report.dry_run and report.next_cursor is not None:
        say("More match than were looked at: raise --limit.")


def _outcome(item: TaskOutcome) -> Text:
    reason = (item.reason or "").removeprefix(f"task {item.task_id} ")
    said = item.outcome.value.replace("_", " ") + (f": {reason}" if reason else "")
    return plain(said, COLOURS.get(item.outcome, ""))


def _change(item: TaskOutcome) -> str:
    before, after = item.before, item.after
    if before.priority is not after.priority:
        return f"{before.priority} → {after.priority}"
    if before.phase is not after.phase:
        return f"{before.phase} → {after.phase}"
    stops = after.cancel_requested and not before.cancel_requested
    return f"{before.phase}, stops at its next step" if stops else f"{before.phase}"
