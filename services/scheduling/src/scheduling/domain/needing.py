"""What becomes of a task that needs the results of others."""

from collections.abc import Mapping
from datetime import datetime

from contracts.errors import FieldProblem, Problem
from contracts.tasks import Expire, Move, Phase, Skip, Supply, Task

NEVER_MADE = "input-never-made"


def supplied_or_skipped(task: Task, needed: Mapping[str, Task], now: datetime) -> Move | None:
    """What to do about a blocked task, by the records of the tasks it needs; nothing while it has to wait.

    A result that will not be made is told at once, whatever else is still being made.
    """
    if task.expires_at is not None and task.expires_at <= now:
        return Expire()
    found = {name: _own(needed.get(task_id), task) for name, task_id in task.needs.items()}
    if missing := [name for name, other in found.items() if other is None or _ended_in_vain(other)]:
        return Skip(_never_made(task, found, missing))
    results = {name: other.result.id for name, other in found.items() if other is not None and other.result}
    return Supply(results) if len(results) == len(task.needs) else None


def _own(other: Task | None, task: Task) -> Task | None:
    return other if other is not None and other.project_id == task.project_id else None


def _ended_in_vain(task: Task) -> bool:
    return task.phase.terminal and task.phase is not Phase.DONE


def _never_made(task: Task, found: Mapping[str, Task | None], missing: list[str]) -> Problem:
    problems = [
        FieldProblem(field=f"inputs.{name}", detail=_why(found[name]), given=task.needs[name]) for name in missing
    ]
    return Problem.of(
        NEVER_MADE,
        "Something it needs was not made",
        f"{problems[0].field} is the result of task {problems[0].given}, which {problems[0].detail}; "
        "retry that one, and then this one",
        retryable=False,
        errors=problems,
    )


def _why(other: Task | None) -> str:
    if other is None:
        return "does not exist in this project"
    return f"is {other.phase.value}" + (f": {other.error.title}" if other.error is not None else "")
