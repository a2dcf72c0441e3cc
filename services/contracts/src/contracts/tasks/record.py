"""The task record: the only truth about a task."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Literal, assert_never

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, computed_field

from contracts.errors import Problem
from contracts.identifiers import GraphId, MediaId, ModelKey, Name, NodeName, ProjectId, Tag, TaskId, trace_parent
from contracts.media import MediaResult, Medium, ObjectKey, ProducedMedia
from contracts.tasks.recurrence import SeriesPart

MAX_TAGS = 5
MAX_REMINDERS = 10
BEGINNING = datetime.min.replace(tzinfo=UTC)


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """0 for low, 1 for medium, 2 for high: what tables sort by."""
        return list(Priority).index(self)


class Status(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Phase(StrEnum):
    """Where exactly a task is. Each phase belongs to one status, so the two cannot disagree."""

    BLOCKED = "blocked"
    """Waits for the results of other tasks, which are its inputs."""
    SCHEDULED = "scheduled"
    """Not to be started before its `start_at`."""
    QUEUED = "queued"
    ASSIGNED = "assigned"
    RETRY_WAIT = "retry_wait"
    LOADING_MODEL = "loading_model"
    GENERATING = "generating"
    ENCODING = "encoding"
    STORING = "storing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SKIPPED = "skipped"
    """Cancelled by a rule before it could start, rather than by a person; its error says which rule."""

    @property
    def status(self) -> Status:
        match self:
            case Phase.BLOCKED | Phase.SCHEDULED | Phase.QUEUED | Phase.ASSIGNED | Phase.RETRY_WAIT:
                return Status.PENDING
            case Phase.LOADING_MODEL | Phase.GENERATING | Phase.ENCODING | Phase.STORING:
                return Status.PROCESSING
            case Phase.DONE | Phase.FAILED | Phase.CANCELLED | Phase.EXPIRED:
                return Status(self.value)
            case Phase.SKIPPED:
                return Status.CANCELLED
            case unreachable:
                assert_never(unreachable)

    @property
    def terminal(self) -> bool:
        return self.status not in (Status.PENDING, Status.PROCESSING)

    @property
    def owner(self) -> "Owner | None":
        """The service that must move the task on by its deadline; nobody owns an ended task."""
        return OWNERS.get(self)


class Owner(StrEnum):
    SCHEDULING = "scheduling"
    WORKER = "worker"
    STORAGE = "storage"


OWNERS: Mapping[Phase, Owner] = MappingProxyType(
    {
        Phase.BLOCKED: Owner.SCHEDULING,
        Phase.SCHEDULED: Owner.SCHEDULING,
        Phase.QUEUED: Owner.SCHEDULING,
        Phase.ASSIGNED: Owner.SCHEDULING,
        Phase.RETRY_WAIT: Owner.SCHEDULING,
        Phase.LOADING_MODEL: Owner.WORKER,
        Phase.GENERATING: Owner.WORKER,
        Phase.ENCODING: Owner.WORKER,
        Phase.STORING: Owner.STORAGE,
    }
)


class ProcessingProgress(BaseModel):
    """How far an attempt is: `step` of `total` steps of the pipeline's denoising loop."""

    model_config = ConfigDict(frozen=True)

    step: int = Field(ge=0)
    total: int = Field(ge=0)
    fraction: float = Field(ge=0, le=1)
    eta_seconds: float | None = Field(default=None, ge=0)


class Checkpoint(BaseModel):
    """What another attempt can go on from: a file in staging, with `step` steps of the run done."""

    model_config = ConfigDict(frozen=True)

    key: ObjectKey
    step: int = Field(gt=0)


class Estimate(BaseModel):
    """When a task was thought to be done, at `made_at`: as likely before `p50_at` as after it, nine times in ten
    before `p90_at`."""

    model_config = ConfigDict(frozen=True)

    made_at: AwareDatetime
    p50_at: AwareDatetime
    p90_at: AwareDatetime
    seconds: float = Field(gt=0)
    """What was added up, from when the task may start to its end, before what was learned of the error of such sums."""


class Outlook(StrEnum):
    """Whether the deadline will be kept, by the estimate."""

    LIKELY = "likely"
    AT_RISK = "at_risk"
    """More likely than not, and less than nine times in ten."""
    UNLIKELY = "unlikely"


class ReplayOf(BaseModel):
    """The done task that a task repeats, and the result to compare with."""

    model_config = ConfigDict(frozen=True)

    task_id: TaskId
    media_id: MediaId


class GraphPart(BaseModel):
    """Which graph a task belongs to, and what it is called there."""

    model_config = ConfigDict(frozen=True)

    id: GraphId
    node: NodeName


class Reminder(BaseModel):
    """That somebody wants to be reminded of a task: `at` a moment, or so many seconds before it is due."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime | None = None
    before_due_seconds: int | None = None
    note: str | None = None

    def moment(self, due_at: datetime | None) -> datetime | None:
        """When to say it; None when it is counted from a deadline that is not there."""
        if self.before_due_seconds is None or due_at is None:
            return self.at
        return due_at - min(timedelta(seconds=self.before_due_seconds), due_at - BEGINNING)


class TaskRequest(BaseModel):
    """What a person asks for, checked against the catalog and with its defaults filled in."""

    model_config = ConfigDict(frozen=True)

    model: ModelKey
    medium: Medium
    params: dict[str, JsonValue]
    inputs: dict[Name, MediaId] = {}
    needs: dict[Name, TaskId] = {}
    """Which inputs are the results of which other tasks. They are put into `inputs` once all of them are there."""
    priority: Priority = Priority.MEDIUM
    tags: tuple[Tag, ...] = Field(default=(), max_length=MAX_TAGS)
    title: str | None = Field(default=None, max_length=200)
    client_ref: str | None = Field(default=None, max_length=200)
    start_at: AwareDatetime | None = None
    due_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    reminders: tuple[Reminder, ...] = Field(default=(), max_length=MAX_REMINDERS)
    time_limit_seconds: float
    max_failures: int = Field(ge=1)

    @property
    def reminded_at(self) -> dict[datetime, Reminder]:
        """Its reminders by the moment of each."""
        moments = ((reminder.moment(self.due_at), reminder) for reminder in self.reminders)
        return {moment.astimezone(UTC): reminder for moment, reminder in moments if moment is not None}


class Task(TaskRequest):
    """The stored record. Only `contracts.tasks.apply` makes a new version of it.

    `attempt` rises with every assignment and fences every write of a worker or of storage.
    `seq` rises with every save and orders every announcement.
    `failures` counts the attempts that were the task's own fault since it was last submitted.
    """

    schema_version: Literal[1] = 1
    id: TaskId
    project_id: ProjectId
    request_digest: str
    correlation_id: str
    traceparent: Annotated[str | None, BeforeValidator(trace_parent)] = None
    """Of the span in which it was asked for; its flag says whether the task's own spans are told."""
    replay_of: ReplayOf | None = None
    series: SeriesPart | None = None
    graph: GraphPart | None = None

    estimate: Estimate | None = None
    """Made when the task was accepted. What is thought of it since is told by who is asked."""

    phase: Phase = Phase.QUEUED
    phase_since: AwareDatetime
    phase_seconds: dict[Phase, float] = {}
    together: int = Field(default=1, ge=1)
    """How many tasks share the device with this one in its run."""
    shared_seconds: float = Field(default=0.0, ge=0)
    """What of `phase_seconds` other tasks of the same forward passes answer for."""
    outgrown_mb: int = Field(default=0, ge=0)
    """The memory of the largest device that an attempt did not fit; the next should have more."""
    attempt: int = 0
    failures: int = 0
    seq: int = 1
    deadline: AwareDatetime | None
    """When the watchdog looks, should the owner not have moved the task on by then."""
    not_before: AwareDatetime | None = None
    supplied_at: AwareDatetime | None = None
    """Since when all that it needs of other tasks is there."""
    worker_id: str | None = None
    cancel_requested: bool = False
    progress: ProcessingProgress | None = None
    checkpoint: Checkpoint | None = None
    """Of the newest attempt that left one; the next begins there."""
    produced: ProducedMedia | None = None
    result: MediaResult | None = None
    error: Problem | None = None

    created_at: AwareDatetime
    updated_at: AwareDatetime
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None

    @property
    def waits_since(self) -> datetime:
        """Since when it would like to be run."""
        return max(moment for moment in (self.created_at, self.start_at, self.supplied_at) if moment is not None)

    def waits_for_its_time(self, now: datetime) -> bool:
        """Whether it is not to be queued yet. What becomes of an instance of a series is decided at its time, even if
        that has passed."""
        return self.start_at is not None and (self.start_at > now or self.series is not None)

    def outlook(self, estimate: Estimate | None) -> Outlook | None:
        """None without a deadline, or while nothing is known."""
        if self.due_at is None or estimate is None:
            return None
        if estimate.p90_at <= self.due_at:
            return Outlook.LIKELY
        return Outlook.AT_RISK if estimate.p50_at <= self.due_at else Outlook.UNLIKELY

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> Status:
        return self.phase.status
