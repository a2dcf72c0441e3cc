"""What the supervisor and its engine child say to each other, one JSON message at a time."""

from typing import Annotated, Literal

from contracts.catalog import Catalog
from contracts.errors import Problem
from contracts.identifiers import ModelKey, TaskId
from contracts.media import Comparison, Execution, Provenance, Sha256
from contracts.workers import Device
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

OUT_OF_MEMORY = "gpu-out-of-memory"
"""The code of a failure after which another device, with more memory, may do."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class EngineOptions(_Message):
    """What a supervisor starts its child with."""

    catalog: Catalog
    models_folder: str
    threads: int | None
    preload: tuple[ModelKey, ...] = ()
    """Models to load before the child says that it is ready."""
    log_level: str


class Original(_Message):
    """What a replay's result is compared with, as far as it is still there."""

    path: str | None = None
    """Of a local file, whose ending names its format."""
    sha256: Sha256 | None = None
    provenance: Provenance | None = None


class RunJob(_Message):
    """Generate, encode, and leave the file in `folder`; compare it with the original, if there is one."""

    kind: Literal["run"] = "run"
    task_id: TaskId
    attempt: int
    correlation_id: str
    """For the child's log."""
    model: ModelKey
    params: dict[str, JsonValue]
    inputs: dict[str, str]
    """Paths of local files."""
    folder: str
    checkpoint: str | None = None
    """The path of a local file to go on from."""
    original: Original | None = None
    """For a replay."""


class RunTogether(_Message):
    """Generate all of these in one forward pass. Each is reported by itself, and may be stopped by itself."""

    kind: Literal["run_together"] = "run_together"
    jobs: tuple[RunJob, ...] = Field(min_length=2)
    """Of one model, with parameters alike but for those given per item, and without inputs and originals."""


class StopJob(_Message):
    """Stop this attempt at its next step."""

    kind: Literal["stop"] = "stop"
    task_id: TaskId
    attempt: int


class ShowJob(_Message):
    """Leave a picture of how far this attempt has come after its next step, if there can be one."""

    kind: Literal["show"] = "show"
    task_id: TaskId
    attempt: int


Command = Annotated[RunJob | RunTogether | StopJob | ShowJob, Field(discriminator="kind")]


class EngineReady(_Message):
    """The child is up and has looked at its device."""

    kind: Literal["ready"] = "ready"
    device: Device
    versions: dict[str, str]
    warm_models: tuple[ModelKey, ...] = ()


class SetupFailed(_Message):
    """The child cannot come up and ends; `reason` is for whoever operates the worker."""

    kind: Literal["setup_failed"] = "setup_failed"
    reason: str


class Generating(_Message):
    """The weights are loaded and the denoising begins."""

    kind: Literal["generating"] = "generating"
    task_id: TaskId
    attempt: int
    warm_models: tuple[ModelKey, ...]
    first_step: int = 0
    """How many steps an earlier attempt had done already."""


class Stepped(_Message):
    kind: Literal["stepped"] = "stepped"
    task_id: TaskId
    attempt: int
    step: int
    total: int


class Saved(_Message):
    """With this file another process can go on after `step`; whoever hears of it deletes it."""

    kind: Literal["saved"] = "saved"
    task_id: TaskId
    attempt: int
    step: int
    path: str


class Shown(_Message):
    """How far the attempt has come, as a small WebP; whoever hears of it deletes it."""

    kind: Literal["shown"] = "shown"
    task_id: TaskId
    attempt: int
    step: int
    path: str


class Generated(_Message):
    """The device is free for the next job; this one is being encoded."""

    kind: Literal["generated"] = "generated"
    task_id: TaskId
    attempt: int
    execution: Execution
    device: Device


class Encoded(_Message):
    kind: Literal["encoded"] = "encoded"
    task_id: TaskId
    attempt: int
    path: str
    size: int
    sha256: str
    comparison: Comparison | None = None
    """With the job's original, if it has one."""


class Stopped(_Message):
    kind: Literal["stopped"] = "stopped"
    task_id: TaskId
    attempt: int


class Failed(_Message):
    """The attempt failed. After `broken` the child is of no more use and must be replaced."""

    kind: Literal["failed"] = "failed"
    task_id: TaskId
    attempt: int
    problem: Problem
    broken: bool = False
    device_fault: bool = False
    """Whether the device or its driver may be to blame, and not what was to be generated."""


JobReport = Generating | Stepped | Saved | Shown | Generated | Encoded | Stopped | Failed
Report = Annotated[EngineReady | SetupFailed | JobReport, Field(discriminator="kind")]

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
_REPORT: TypeAdapter[Report] = TypeAdapter(Report)


def dump(message: BaseModel) -> bytes:
    return message.model_dump_json().encode()


def read_command(data: bytes) -> Command:
    return _COMMAND.validate_json(data)


def read_report(data: bytes) -> Report:
    return _REPORT.validate_json(data)
