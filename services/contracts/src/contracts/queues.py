"""A project's queue as a person sees it."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

from contracts.budgets import BudgetReport
from contracts.identifiers import ModelKey, ProjectId, TaskId
from contracts.media import Medium
from contracts.pauses import PauseView
from contracts.tasks import Phase, Priority


class QueuedTask(BaseModel):
    model_config = ConfigDict(frozen=True)

    position: int
    """1 is the project's next of its medium, unless another project's turn comes first."""
    task_id: TaskId
    model: ModelKey
    medium: Medium
    priority: Priority
    phase: Phase
    title: str | None
    waiting_since: AwareDatetime
    waiting_seconds: float


class TaskQueue(BaseModel):
    model_config = ConfigDict(frozen=True)

    project_id: ProjectId
    waiting: int
    blocked: int
    """These wait for the results of other tasks, and are no part of what is `waiting`."""
    scheduled: int
    """These wait for their `start_at`, and are no part of it either."""
    processing: int
    waiting_by_medium: dict[Medium, int]
    waiting_by_priority: dict[Priority, int]
    oldest_waiting_seconds: float | None
    tasks: tuple[QueuedTask, ...]
    """The first hundred that wait, in the order in which they will be taken."""
    budget: BudgetReport | None = None
    """If the project has one."""
    paused: tuple[PauseView, ...] = ()
    """What operators have paused that may hold up its tasks."""
