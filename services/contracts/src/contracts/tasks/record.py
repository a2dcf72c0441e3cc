"""The task record: the only truth about a task."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, assert_never

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, computed_field

from contracts.errors import Problem
from contracts.identifiers import MediaId, ModelKey, Name, ProjectId, Tag, TaskId
from contracts.media import MediaResult, Medium, ObjectKey, ProducedMedia

MAX_TAGS = 5


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

    @property
    def status(self) -> Status:
        match self:
            case Phase.QUEUED | Phase.ASSIGNED | Phase.RETRY_WAIT:
                return Status.PENDING
            case Phase.LOADING_MODEL | Phase.GENERATING | Phase.ENCODING | Phase.STORING:
                return Status.PROCESSING
            case Phase.DONE | Phase.FAILED | Phase.CANCELLED | Phase.EXPIRED:
                return Status(self.value)
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


class ReplayOf(BaseModel):
    """The done task that a task repeats, and the result to compare with."""

    model_config = ConfigDict(frozen=True)

    task_id: TaskId
    media_id: MediaId


class TaskRequest(BaseModel):
    """What a person asks for, checked against the catalog and with its defaults filled in."""

    model_config = ConfigDict(frozen=True)

    model: ModelKey
    medium: Medium
    params: dict[str, JsonValue]
    inputs: dict[Name, MediaId] = {}
    priority: Priority = Priority.MEDIUM
    tags: tuple[Tag, ...] = Field(default=(), max_length=MAX_TAGS)
    title: str | None = Field(default=None, max_length=200)
    client_ref: str | None = Field(default=None, max_length=200)
    expires_at: AwareDatetime | None = None
    time_limit_seconds: float
    max_failures: int = Field(ge=1)


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
    traceparent: str | None = None
    replay_of: ReplayOf | None = None

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

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> Status:
        return self.phase.status
