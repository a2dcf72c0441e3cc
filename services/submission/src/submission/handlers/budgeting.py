"""Says how projects stand with their budgets. Scheduling holds them to these; here they are only told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from contracts.budgets import Budget, BudgetReport, Spending, left_of, month_of
from contracts.catalog import Catalog
from contracts.errors import RetryableError
from contracts.ports import Clock
from contracts.records import Records
from contracts.tasks import Phase, Status, Task

from submission.domain.budgets import reaches, report_of, running_seconds
from submission.ports import Projects, ReadModel


@dataclass(frozen=True)
class Budgeting:
    catalog: Catalog
    projects: Projects
    spendings: Records[Spending]
    read_model: ReadModel
    clock: Clock

    async def report(self, project_id: str) -> BudgetReport | None:
        """None for a project without a budget. Raises `DependencyUnavailable`."""
        budget, now = await self._budget(project_id), self.clock.now()
        if budget is None:
            return None
        spending, tallies = await self._spending(project_id, now), await self.read_model.tallies(project_id)
        return report_of(budget, spending, tallies, self._each(), now)

    async def reaches(self, task: Task) -> bool:
        """Whether the budget, as it is, will let the task start when its turn comes."""
        budget, now = await self._budget(task.project_id), self.clock.now()
        if budget is None or task.status is not Status.PENDING or task.phase is Phase.ASSIGNED:
            return True
        spending, each = await self._spending(task.project_id, now), self._each()
        running = running_seconds(await self.read_model.tallies(task.project_id), each)
        left = left_of(budget, spending, [running], max(now, task.waits_since))
        return reaches(each.get(task.model, 0.0), await self.read_model.waiting_before(task), left, each)

    async def may_have_waited(self, task: Task, since: datetime) -> bool:
        """Whether the task may have waited for its project's budget after `since`, until that was changed or a month
        began. Who cannot tell takes it for so."""
        try:
            project = await self.projects.get(task.project_id)
        except RetryableError:
            return True
        began = project.budget_began(self.clock.now()) if project is not None else None
        return began is not None and began > since

    async def _budget(self, project_id: str) -> Budget | None:
        project = await self.projects.get(project_id)
        return project.budget if project is not None else None

    async def _spending(self, project_id: str, now: datetime) -> Spending:
        return await self.spendings.get(project_id) or Spending(month=month_of(now))

    def _each(self) -> Mapping[str, float]:
        return {model.key: model.run_seconds for model in self.catalog.models}
