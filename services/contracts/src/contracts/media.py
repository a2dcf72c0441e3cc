"""What tasks produce and what they take as input."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from contracts.identifiers import MediaId, ModelKey, ProjectId, TaskId

MOST_PIXELS = 40_000_000
"""Of a picture or a frame: an 8K frame has 33 million, and far more would fill the memory when it is unpacked."""
LEAST_SAMPLE_RATE, MOST_SAMPLE_RATE = 4_000, 192_000
"""Hertz. A slower sound becomes thousands of times its size at a usual rate, and nothing plays a faster one."""
MOST_CHANNELS = 8
MOST_SAMPLES_IN_A_FRAME = 1 << 18
"""What is decoded, and brought to another rate, at once. FLAC has 65,535 at most; some containers know no bound."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ObjectKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9][A-Za-z0-9._-]*)+$", max_length=512)]


class Medium(StrEnum):
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


def not_taken(sample_rate: int, channels: int, samples: int = 0) -> str | None:
    """What is wrong with a sound, or with one decoded frame of it that has so many samples; None for a usual one.

    A frame may be other than its file's header says, so each is to be judged before it is resampled.
    """
    if not LEAST_SAMPLE_RATE <= sample_rate <= MOST_SAMPLE_RATE:
        return f"a sound at {sample_rate} Hz; {LEAST_SAMPLE_RATE:,} to {MOST_SAMPLE_RATE:,} are taken"
    if not 1 <= channels <= MOST_CHANNELS:
        return f"a sound in {channels} channels; at most {MOST_CHANNELS} are taken"
    if samples > MOST_SAMPLES_IN_A_FRAME:
        return f"a sound with {samples} samples in one frame; at most {MOST_SAMPLES_IN_A_FRAME:,} are taken"
    return None


class Execution(BaseModel):
    """How a result was computed."""

    model_config = ConfigDict(frozen=True)

    generate_seconds: float = 0.0
    """How long the pipeline ran, for all tasks that shared its forward pass."""
    batch: int = Field(default=1, ge=1)
    """How many tasks shared the pass."""
    speedups: tuple[str, ...] = ()
    """What the catalog had switched on."""
    degraded: tuple[str, ...] = ()
    """What was done to make it fit into memory, in the order of the ladder."""
    resumed_at_step: int = Field(default=0, ge=0)
    """How many steps an earlier attempt had done."""


class Provenance(Execution):
    """Everything needed to make the same media again, as the worker that made it saw it."""

    model_config = ConfigDict(frozen=True)

    task_id: TaskId
    attempt: int
    model: ModelKey
    pipeline: str
    source: str
    revision: str | None
    params: dict[str, JsonValue]
    inputs: dict[str, MediaId]
    dtype: str
    device: str
    versions: dict[str, str]
    worker_id: str
    generated_at: AwareDatetime


class Comparison(BaseModel):
    """How a replay's file differs from that of the task it replays."""

    model_config = ConfigDict(frozen=True)

    equal: bool | None
    """Whether the bytes are equal; None when nothing is left to tell it by."""
    max_difference: float | None = Field(default=None, ge=0, le=1)
    """Over all channels of all pixels, or all samples; 1 is from black to white, or from the lowest to the highest."""
    mean_difference: float | None = Field(default=None, ge=0, le=1)
    psnr_db: float | None = None
    """Peak signal-to-noise ratio. None also where nothing differs, because it is infinite there."""
    note: str | None = None
    """Why there are no differences to tell, and what was not as it had been when the original was made."""


class ProducedMedia(BaseModel):
    """The claim check a worker hands to storage: where the bytes lie in staging and what they must be."""

    model_config = ConfigDict(frozen=True)

    key: ObjectKey
    content_type: str
    size: int = Field(gt=0)
    sha256: Sha256
    provenance: Provenance
    comparison: Comparison | None = None
    """For a replay."""


class MediaResult(BaseModel):
    """A stored file of a project, verified: what a task produced or a person uploaded."""

    model_config = ConfigDict(frozen=True)

    id: MediaId
    project_id: ProjectId
    task_id: TaskId | None = None
    medium: Medium
    content_type: str
    size: int
    sha256: Sha256
    key: ObjectKey
    thumbnail_key: ObjectKey | None = None
    manifest_key: ObjectKey | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    frame_rate: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    comparison: Comparison | None = None
    """For what a replay produced."""
    created_at: AwareDatetime
