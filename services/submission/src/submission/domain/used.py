"""What a project has used, added up from what its tasks have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.budgets import BudgetReport
from contracts.errors import FieldProblem, InvalidRequest
from contracts.media import Medium
from contracts.tasks import Phase, Status, Waste
from contracts.usage import ProjectUsage, Usage

CAUSES = {
    Phase.DONE: Waste.RETRIED,
    Phase.FAILED: Waste.FAILED,
    Phase.CANCELLED: Waste.CANCELLED,
    Phase.EXPIRED: Waste.EXPIRED,
}


@dataclass(frozen=True)
class Used:
    """By a project's tasks of one phase and medium."""

    phase: Phase
    medium: Medium
    count: int
    gpu_seconds: float
    cold_start_seconds: float
    lost_seconds: float


def check_period(since: datetime | None, until: datetime | None) -> None:
    """Raises `InvalidRequest`."""
    if since is not None and until is not None and until <= since:
        allowed = f"after {since.isoformat()}"
        problem = FieldProblem(
            field="until", detail="does not come after since", allowed=allowed, given=until.isoformat()
        )
        raise InvalidRequest("there is no such time", [problem])


def usage_of(
    project_id: str,
    used: Sequence[Used],
    since: datetime | None,
    until: datetime | None,
    budget: BudgetReport | None,
) -> ProjectUsage:
    media = [medium for medium in Medium if any(one.medium is medium for one in used)]
    by_medium = {medium: _sum(one for one in used if one.medium is medium) for medium in media}
    return ProjectUsage(
        project_id=project_id, since=since, until=until, by_medium=by_medium, budget=budget, **dict(_sum(used))
    )


def _sum(parts: Iterable[Used]) -> Usage:
    tasks: dict[Status, int] = {}
    wasted: dict[Waste, float] = {}
    seconds = 0.0
    for one in parts:
        tasks[one.phase.status] = tasks.get(one.phase.status, 0) + one.count
        seconds += one.gpu_seconds
        for cause, lost in ((Waste.COLD_START, one.cold_start_seconds), (CAUSES.get(one.phase), one.lost_seconds)):
            if cause is not None and lost:
                wasted[cause] = wasted.get(cause, 0.0) + lost
    return Usage(tasks=tasks, gpu_seconds=seconds, wasted_gpu_seconds=wasted)
