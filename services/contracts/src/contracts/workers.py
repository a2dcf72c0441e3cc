"""What a worker says of itself."""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.identifiers import ModelKey, TaskId, WorkerId
from contracts.media import Medium
from contracts.tasks import Phase, ProcessingProgress

MB = 1024 * 1024
"""In bytes: what every size in `_mb` is counted in."""


class WorkerState(StrEnum):
    STARTING = "starting"
    """The engine is coming up, or the worker has not yet heard its own voice on the bus."""
    READY = "ready"
    BUSY = "busy"
    DRAINING = "draining"
    """Finishes what it runs, takes nothing new."""
    UNHEALTHY = "unhealthy"
    """The engine died and is being replaced."""
    SETUP_FAILED = "setup_failed"
    """The engine does not come up: no device, or a model that cannot be loaded. It is tried again and again."""
    DEFUNCT = "defunct"
    """The device has failed too often and is left alone for a while."""


TAKES_WORK = frozenset({WorkerState.READY, WorkerState.BUSY})


class Device(BaseModel):
    """The device a worker renders on. A CPU has no VRAM and says so with zeros."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    vram_total_mb: int = 0
    vram_free_mb: int = 0


class GpuReading(BaseModel):
    """What a GPU's driver said of it at one moment."""

    model_config = ConfigDict(frozen=True)

    utilisation: float = Field(ge=0, le=1)
    """The share of the last moments in which a kernel ran."""
    memory_used_mb: int
    memory_total_mb: int
    temperature_celsius: float
    power_watts: float | None = None
    """None where the driver does not measure it, as in a slice of a GPU."""
    xid: int | None = None
    """The last fault of the hardware since the worker started, by NVIDIA's number for it."""


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
    reason: str | None = None
    """Why it takes no work, where that is not plain from the state."""
    slots: int = Field(ge=0)
    models: tuple[ModelKey, ...]
    """Models this worker can run."""
    warm_models: tuple[ModelKey, ...] = ()
    """Models whose weights are loaded right now."""
    device: Device
    gpu: GpuReading | None = None
    """None on a CPU."""
    runs: tuple[Run, ...] = ()
    completed: int = 0
    failed: int = 0
    started_at: AwareDatetime
    sent_at: AwareDatetime
