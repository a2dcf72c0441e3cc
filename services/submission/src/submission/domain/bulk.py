"""What a bulk action makes of one task."""

from dataclasses import dataclass
from datetime import datetime

from contracts.errors import IllegalTransition
from contracts.operations import BulkAction, BulkRequest, Outcome, Selection, Standing, TaskOutcome
from contracts.tasks import Move, Prioritise, Priority, RequestCancel, Resubmit, Task, apply

from submission.domain.listing import Sort, TaskFilter, words_of


@dataclass(frozen=True)
class Plan:
    """What is to be done to each task: pure, so that a dry run and the real one cannot differ."""

    move: Move
    select: Selection

    def still_wanted(self, task: Task) -> None:
        """Raises `IllegalTransition` for a task that has left the selection since it was listed."""
        if (mismatch := self.select.mismatch(task)) is not None:
            raise IllegalTransition(f"task {task.id} is left alone: it {mismatch}")

    def preview(self, task: Task, now: datetime) -> TaskOutcome:
        """What carrying it out would do to the task as it is."""
        try:
            self.still_wanted(task)
            after = apply(task, self.move, now)
        except IllegalTransition as error:
            return outcome_of(task, task, Outcome.REFUSED, error.detail)
        return outcome_of(task, after, Outcome.AS_WANTED if after is task else Outcome.WOULD_CHANGE)


def plan_of(request: BulkRequest) -> Plan:
    match request.action:
        case BulkAction.CANCEL:
            return Plan(RequestCancel(), request.select)
        case BulkAction.RETRY:
            return Plan(Resubmit(), request.select)
        case BulkAction.PRIORITISE:
            return Plan(Prioritise(request.priority or Priority.MEDIUM), request.select)


def outcome_of(before: Task, after: Task, outcome: Outcome, reason: str | None = None) -> TaskOutcome:
    return TaskOutcome(
        task_id=before.id,
        project_id=before.project_id,
        model=before.model,
        title=before.title,
        outcome=outcome,
        reason=reason,
        before=Standing.of(before),
        after=Standing.of(after),
    )


def filter_of(select: Selection, sort: Sort) -> TaskFilter:
    return TaskFilter(
        ids=select.ids,
        projects=select.project,
        phases=select.phase,
        statuses=select.status,
        media=select.medium,
        models=select.model,
        priorities=select.priority,
        tags=select.tag,
        words=words_of(select.q),
        created_before=select.created_before,
        sort=sort,
    )
