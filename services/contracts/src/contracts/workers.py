"""What a worker says of itself."""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.identifiers import ModelKey, TaskId, WorkerId
from contracts.media import Medium
from contracts.tasks import Phase, ProcessingProgress


class WorkerState(StrEnum):
    STARTING = "starting"
    """The engine is coming up, or the worker has not yet heard its own voice on the bus."""
    READY = "ready"
    BUSY = "busy"
    DRAINING = "draining"
    """Finishes what it runs, takes nothing new."""
    UNHEALTHY = "unhealthy"
    """The engine died and is being replaced."""


TAKES_WORK = frozenset({WorkerState.READY, WorkerState.BUSY})


class Device(BaseModel):
    """The device a worker renders on. A CPU has no VRAM and says so with zeros."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    vram_total_mb: int = 0
    vram_free_mb: int = 0


class Run(BaseModel):
    """A task attempt in a worker's hands. Naming it in a heartbeat renews its lease."""

    model_config = ConfigDict(frozen=True)

    task_id: TaskId
    attempt: int
    phase: Phase
    on_device: bool
    """Whether it still uses a slot; what is being encoded and uploaded no longer does."""
    progress: ProcessingProgress | None = None


class WorkerStatus(BaseModel):
    model_config = ConfigDict(frozen=True)

    worker_id: WorkerId
    medium: Medium
    state: WorkerState
    slots: int = Field(ge=0)
    models: tuple[ModelKey, ...]
    """Models this worker can run."""
    warm_models: tuple[ModelKey, ...] = ()
    """Models whose weights are loaded right now."""
    device: Device
    runs: tuple[Run, ...] = ()
    completed: int = 0
    failed: int = 0
    started_at: AwareDatetime
    sent_at: AwareDatetime
