"""Does one thing to many tasks of whatever projects, and says of each what came of it."""

from collections import Counter
from dataclasses import dataclass

from contracts.errors import PermanentError
from contracts.operations import BulkReport, BulkRequest, Outcome, TaskOutcome
from contracts.operators import Operator
from contracts.ports import Clock
from contracts.records import TaskRecords
from contracts.tasks import Task
from pydantic import JsonValue

from submission.domain import Sort, read_cursor
from submission.domain.bulk import Plan, filter_of, outcome_of, plan_of
from submission.handlers.auditing import Audit
from submission.handlers.changing import TaskChanges
from submission.ports import AllTasks

ORDER = Sort.OLDEST
"""Nothing that a bulk action changes moves a task in this order, so a cursor goes on where it ended."""


@dataclass(frozen=True)
class Bulk:
    all_tasks: AllTasks
    tasks: TaskRecords
    changes: TaskChanges
    audit: Audit
    clock: Clock

    async def run(self, request: BulkRequest, operator: Operator) -> BulkReport:
        """Selects by the listing and decides by the records. Raises `InvalidRequest` for a cursor of another order."""
        wanted, plan = filter_of(request.select, ORDER), plan_of(request)
        after = read_cursor(request.cursor, ORDER) if request.cursor else None
        page = await self.all_tasks.list(wanted, request.limit, after)
        # What was listed may have changed since: the records say what there is to be changed.
        previews = [plan.preview(await self.tasks.get(task.id) or task, self.clock.now()) for task in page.tasks]
        items = previews if request.dry_run else await self._carry_out(request, plan, previews, operator)
        return BulkReport(
            action=request.action,
            dry_run=request.dry_run,
            matched=await self.all_tasks.count(wanted),
            by_outcome=Counter(item.outcome for item in items),
            items=items,
            next_cursor=str(page.next) if page.next else None,
        )

    async def _carry_out(
        self, request: BulkRequest, plan: Plan, previews: list[TaskOutcome], operator: Operator
    ) -> list[TaskOutcome]:
        changing = [preview for preview in previews if preview.outcome is Outcome.WOULD_CHANGE]
        if changing:
            # Written down before anything is done: who dies in between has left word of what was begun.
            intended = request.model_dump(mode="json", exclude_defaults=True, exclude={"dry_run"})
            intended["tasks"] = [preview.task_id for preview in changing]
            count = f"{len(changing)} task" + ("s" if len(changing) > 1 else "")
            await self.audit.note(f"tasks.{request.action.value}", count, None, intended, operator)
        return [
            await self._change(request, plan, preview, operator) if preview in changing else preview
            for preview in previews
        ]

    async def _change(self, request: BulkRequest, plan: Plan, preview: TaskOutcome, operator: Operator) -> TaskOutcome:
        found: list[Task] = []

        def allowed(task: Task) -> None:
            found.append(task)
            plan.still_wanted(task)

        try:
            after = await self.changes.make(preview.task_id, preview.project_id, plan.move, allowed)
        except PermanentError as error:
            return preview.model_copy(
                update={"outcome": Outcome.REFUSED, "reason": error.detail, "after": preview.before}
            )
        before = found[-1]
        if after is before:
            return outcome_of(before, after, Outcome.AS_WANTED)
        outcome = outcome_of(before, after, Outcome.CHANGED)
        shown: dict[str, JsonValue] = {"project_id": after.project_id, "model": after.model, "attempt": after.attempt}
        await self.audit.note(
            f"task.{request.action.value}",
            after.id,
            shown | outcome.before.model_dump(mode="json"),
            shown | outcome.after.model_dump(mode="json"),
            operator,
        )
        return outcome
