"""What is left of a project's budget, as its people see it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from contracts.budgets import Budget, BudgetReport, Spending, left_of
from contracts.tasks import Phase

from submission.domain.listing import Tally

STARTABLE = (Phase.QUEUED, Phase.RETRY_WAIT)
UNCHARGED = (Phase.ASSIGNED, Phase.LOADING_MODEL, Phase.GENERATING)
"""A run in one of these has the most of what it is charged still before it."""


def running_seconds(tallies: Iterable[Tally], each: Mapping[str, float]) -> float:
    """What running tasks are expected to be charged. `each` is how long a run of each model takes."""
    return sum(each.get(one.model, 0.0) * one.count for one in tallies if one.phase in UNCHARGED)


def reaches(need: float, before: Mapping[str, int], left: float, each: Mapping[str, float]) -> bool:
    """Whether what is left will do for a task, and for those of its project that go `before` it, by model."""
    first = sum(each.get(model, 0.0) * count for model, count in before.items() if each.get(model, 0.0) <= left)
    return first + need <= left


def report_of(
    budget: Budget, spending: Spending, tallies: Sequence[Tally], each: Mapping[str, float], now: datetime
) -> BudgetReport:
    running = running_seconds(tallies, each)
    left = left_of(budget, spending, [running], now)
    needs = [(each.get(one.model, 0.0), one.count) for one in tallies if one.phase in STARTABLE]
    waiting = sum(count for need, count in needs if need > left)
    too_large = sum(count for need, count in needs if need > budget.gpu_seconds)
    spent, anew = spending.of(budget, now), budget.ends_at(now)
    return BudgetReport(
        gpu_seconds=budget.gpu_seconds,
        per=budget.per,
        spent_gpu_seconds=spent,
        running_gpu_seconds=running,
        left_gpu_seconds=max(0.0, left),
        begins_anew_at=anew,
        waiting=waiting,
        in_words=". ".join(_words(budget, spent, running, now, waiting - too_large, too_large)) + ".",
    )


def _words(budget: Budget, spent: float, running: float, now: datetime, waiting: int, too_large: int) -> Iterable[str]:
    anew = budget.ends_at(now)
    period = f"in {now:%B %Y} (UTC)" if anew else "in all"
    expected = f", and running tasks are expected to use {_number(running)} more" if running else ""
    yield f"{_number(spent)} of {_number(budget.gpu_seconds)} GPU-seconds {period} are spent{expected}"
    if waiting:
        until = f", or until {anew:%Y-%m-%d}" if anew else ""
        yield f"{_tasks(waiting, 'waits', 'wait')} for a higher budget{until}"
    if too_large:
        yield f"{_tasks(too_large, 'needs', 'need')} more than the whole budget"


def _tasks(count: int, one: str, many: str) -> str:
    return f"1 task {one}" if count == 1 else f"{count:,} tasks {many}"


def _number(seconds: float) -> str:
    return f"{seconds:,.1f}".removesuffix(".0")
