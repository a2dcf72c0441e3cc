"""What operators ask for and are told: the same in the admin API and in the `movie-tasks` command."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StrictBool
from pydantic import model_validator as checked

from contracts.identifiers import ModelKey, Moment, PlainText, ProjectId, Tag, TaskId
from contracts.media import Medium
from contracts.tasks import Phase, Priority, Status, Task
from contracts.views import HistoryItem, TaskView, View

MOST_AT_ONCE = 200
"""How many tasks one request may change, so that its answer comes in time. Who wants more goes on with the cursor."""
MOST_VALUES = 50


class Selection(BaseModel):
    """Which tasks, of whatever project. Every part narrows; parts left out do not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: tuple[TaskId, ...] = Field(default=(), max_length=MOST_AT_ONCE)
    project: tuple[ProjectId, ...] = Field(default=(), max_length=MOST_VALUES)
    medium: tuple[Medium, ...] = Field(default=(), max_length=MOST_VALUES)
    model: tuple[ModelKey, ...] = Field(default=(), max_length=MOST_VALUES)
    status: tuple[Status, ...] = Field(default=(), max_length=MOST_VALUES)
    phase: tuple[Phase, ...] = Field(default=(), max_length=MOST_VALUES)
    priority: tuple[Priority, ...] = Field(default=(), max_length=MOST_VALUES)
    tag: tuple[Tag, ...] = Field(default=(), max_length=MOST_VALUES)
    """Every one must be on the task."""
    created_before: Moment | None = None
    q: PlainText = Field(default="", max_length=500)
    """Words, or their beginnings, in title and prompt."""

    @property
    def everything(self) -> bool:
        return not self.model_dump(exclude_defaults=True)

    def mismatch(self, task: Task) -> str | None:
        """Why the task as it is now is none of these, or nothing. Words are left to the search: they do not change."""
        return next(self._mismatches(task), None)

    def _mismatches(self, task: Task) -> Iterator[str]:
        if self.ids and task.id not in self.ids:
            yield "is not one of the tasks that were named"
        if self.created_before is not None and task.created_at >= self.created_before:
            yield "was asked for later"
        if missing := set(self.tag) - set(task.tags):
            yield f"has no tag {min(missing)}"
        parts: tuple[tuple[tuple[str, ...], str, str], ...] = (
            (self.project, task.project_id, "is of project"),
            (self.medium, task.medium, "makes"),
            (self.model, task.model, "is for"),
            (self.status, task.status, "is"),
            (self.phase, task.phase, "is"),
            (self.priority, task.priority, "has priority"),
        )
        yield from (f"{what} {found} by now" for wanted, found, what in parts if wanted and found not in wanted)


class BulkAction(StrEnum):
    CANCEL = "cancel"
    RETRY = "retry"
    PRIORITISE = "prioritise"


class BulkRequest(BaseModel):
    """Does one thing to many tasks. Unless `dry_run` is false it only says what it would do.

    Tasks are taken in the order in which they were asked for. What has been done already stays as it is, so the same
    request can be sent again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: BulkAction
    priority: Priority | None = None
    select: Selection = Selection()
    all: StrictBool = False
    """Wanted with a selection that leaves nothing out, so that nobody cancels everything by leaving out a filter."""
    dry_run: StrictBool = True
    limit: Annotated[int, Field(strict=True, ge=1, le=MOST_AT_ONCE)] = MOST_AT_ONCE
    cursor: PlainText | None = Field(default=None, max_length=512)

    @checked(mode="after")
    def _is_complete(self) -> Self:
        if (self.priority is not None) != (self.action is BulkAction.PRIORITISE):
            raise ValueError("priority goes with the action prioritise, and with no other")
        if self.select.everything and not self.all:
            raise ValueError("select some tasks, or say all: true")
        return self


class Outcome(StrEnum):
    CHANGED = "changed"
    WOULD_CHANGE = "would_change"
    AS_WANTED = "as_wanted"
    """It is so already."""
    REFUSED = "refused"


class Standing(View):
    """What a bulk action may change of a task."""

    status: Status
    phase: Phase
    priority: Priority
    cancel_requested: bool

    @classmethod
    def of(cls, task: Task) -> Self:
        return cls(**{name: getattr(task, name) for name in cls.model_fields})


class TaskOutcome(View):
    task_id: TaskId
    project_id: ProjectId
    model: ModelKey
    title: str | None
    outcome: Outcome
    reason: str | None
    """Why it was refused."""
    before: Standing
    after: Standing


class BulkReport(View):
    action: BulkAction
    dry_run: bool
    matched: int
    """How many tasks the selection matches in all, by the listing."""
    by_outcome: dict[Outcome, int]
    items: list[TaskOutcome]
    next_cursor: str | None
    """Where to go on, if the selection matches more than were looked at."""


class ActionView(View):
    """One thing an operator did: who from where, what to what, before and after."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    at: AwareDatetime
    action: str
    target: str
    before: JsonValue
    after: JsonValue
    operator: str
    """Who it was, as they said themselves."""
    address: str
    correlation_id: str


class CrowdView(View):
    """How many of a project's tasks for a model are in a phase, and since when the oldest has been asked for."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    project_id: ProjectId
    medium: Medium
    model: ModelKey
    phase: Phase
    count: int
    oldest: AwareDatetime


class TaskDossier(View):
    """A task's record and everything that happened to it."""

    task: TaskView
    history: list[HistoryItem]


class KeyView(View):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    project_id: ProjectId
    label: str
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    revoked_at: AwareDatetime | None


class IssuedKey(BaseModel):
    """A new key. `key` is shown this once; what is kept cannot bring it back."""

    key: str
    details: KeyView


class LetterView(View):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    at: AwareDatetime
    app: str
    topic: str
    reason: str
    event: str
    redriven_at: AwareDatetime | None
    """When it was last said again."""
    redriven_by: str | None
