"""What a project has used, as a person sees it."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

from contracts.budgets import BudgetReport
from contracts.identifiers import ProjectId
from contracts.media import Medium
from contracts.tasks import Status, Waste


class Usage(BaseModel):
    model_config = ConfigDict(frozen=True)

    tasks: dict[Status, int]
    gpu_seconds: float
    """Of all attempts; of what several tasks shared, each one's part. On a CPU, the engine's seconds."""
    wasted_gpu_seconds: dict[Waste, float]
    """What of it came to nothing, by cause."""


class ProjectUsage(Usage):
    """Of the tasks that were asked for in the time."""

    project_id: ProjectId
    since: AwareDatetime | None
    until: AwareDatetime | None
    by_medium: dict[Medium, Usage]
    budget: BudgetReport | None = None
    """If the project has one: as it is now, whatever the time that was asked for."""
