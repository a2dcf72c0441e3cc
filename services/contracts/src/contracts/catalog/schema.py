"""The schema of the model catalog, the single source of truth about models.

Validation of requests, OpenAPI, worker dispatch and `GET /api/v1/models` all derive from it.
"""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from contracts.catalog.parameters import IntegerParameter, Parameter, Strict, Visibility
from contracts.identifiers import ModelKey, Name
from contracts.media import Medium

LONGEST_TIME_LIMIT_MINUTES = 300


class InputSlot(Strict):
    """A file of the project that the model takes."""

    medium: Medium
    description: str = ""
    required: bool = True
    longest_side: int = Field(default=2048, gt=0)
    """Pictures larger than so many pixels are scaled down before the model sees them."""


class BundledSource(Strict):
    """Weights that come with the worker; see `gpu_worker.engine.shipped_models`."""

    kind: Literal["bundled"]
    name: str

    @property
    def origin(self) -> str:
        return f"bundled:{self.name}"


class FolderSource(Strict):
    """Weights of one's own, in a folder that every worker has in its models folder."""

    kind: Literal["folder"]
    path: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")]
    """Relative to the models folder."""

    @property
    def origin(self) -> str:
        return f"folder:{self.path}"


class HubSource(Strict):
    """Weights in the Hugging Face hub's layout, pinned to a commit, so that a run can be repeated."""

    kind: Literal["hub"]
    repo: str
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    variant: str | None = None

    @property
    def origin(self) -> str:
        return f"hub:{self.repo}"


class EditingSource(Strict):
    """No weights: files of the project are cut together by this project's own code."""

    kind: Literal["editing"]

    @property
    def origin(self) -> str:
        return self.kind


class Generator(StrEnum):
    """What goes in and what comes out; chooses the code that runs the pipeline."""

    TEXT_TO_IMAGE = "text_to_image"
    IMAGE_TO_IMAGE = "image_to_image"
    TEXT_TO_VIDEO = "text_to_video"
    IMAGE_TO_VIDEO = "image_to_video"
    TEXT_TO_AUDIO = "text_to_audio"
    MUX = "video_and_audio_to_video"
    CONCAT = "videos_to_video"

    @property
    def medium(self) -> Medium:
        return Medium(self.value.rpartition("_")[2])

    @property
    def edits(self) -> bool:
        """Whether it cuts files together, for which no model and no GPU is needed."""
        return self in (Generator.MUX, Generator.CONCAT)


class OutputFormat(StrEnum):
    PNG = "png"
    MP4 = "mp4"
    WAV = "wav"
    FLAC = "flac"

    @property
    def medium(self) -> Medium:
        match self:
            case OutputFormat.PNG:
                return Medium.IMAGE
            case OutputFormat.MP4:
                return Medium.VIDEO
            case OutputFormat.WAV | OutputFormat.FLAC:
                return Medium.AUDIO

    @property
    def content_type(self) -> str:
        return f"{self.medium.value}/{self.value}"


class Output(Strict):
    format: OutputFormat
    frame_rate: Name | None = None
    """For video: the parameter that says how many frames a second are shown."""


class Batching(Strict):
    max: int = Field(default=1, ge=1, le=64)
    """How many tasks of default sizes may share one forward pass. Whoever comes next waits for that pass."""


class Needs(Strict):
    """What a worker must have. `cpu` allows a worker without a GPU."""

    vram_mb: int = Field(ge=0)
    cpu: bool = False


def _of_this_machine(backend: str) -> str:
    if backend.endswith("_hub"):
        raise ValueError("attention backends of the hub are code of others, fetched when a model is loaded")
    return backend


class Speedups(Strict):
    """Ways to run a model faster or in less memory. What was applied is written into each result's provenance."""

    channels_last: bool = False
    """Convolutions over pixels whose channels lie side by side; for models with a U-Net."""
    attention: Annotated[str, AfterValidator(_of_this_machine)] | None = None
    """An attention backend by diffusers' name for it, such as `flash` or `_native_cudnn`; torch's own when left out.

    None that is fetched when the model is loaded.
    """
    compile: bool = False
    """`torch.compile` of the denoiser's repeated blocks. The first run takes minutes; what it made is kept on disk."""
    first_block_cache: float | None = Field(default=None, gt=0, lt=1)
    """Skip the rest of a transformer at steps at which its first block changes by less than this share."""
    fp8_storage: bool = False
    """Keep the denoiser's weights in 8 bits and compute in the model's own type: half the memory or less."""


class ModelEntry(Strict):
    key: ModelKey
    title: str
    description: str
    licence: str
    medium: Medium
    generator: Generator
    pipeline: str
    """Class name in `diffusers`; for editing, `PyAV`."""
    source: Annotated[BundledSource | FolderSource | HubSource | EditingSource, Field(discriminator="kind")]
    shares: ModelKey | None = None
    """The entry whose loaded components this one reuses through `from_pipe`."""
    pinned: bool = False
    """Whether its weights stay loaded, once they are, whatever else is asked for."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Of the weights."""
    needs: Needs
    load_seconds: float = Field(gt=0)
    """About how long loading takes; what a switch of models costs."""
    run_seconds: float = Field(gt=0)
    """About how long one run takes at the default parameters."""
    time_limit_minutes: float = Field(gt=0, le=LONGEST_TIME_LIMIT_MINUTES)
    attempts: int = Field(default=3, ge=1, le=10)
    checkpoint_seconds: float | None = Field(default=None, gt=0)
    """How often a run is saved so that another attempt can go on from there; never when left out.

    Worth it for runs of many minutes; not for tasks that share a forward pass.
    """
    batching: Batching = Batching()
    speedups: Speedups = Speedups()
    output: Output
    parameters: dict[Name, Parameter]
    inputs: dict[Name, InputSlot] = Field(default_factory=dict)

    def __hash__(self) -> int:
        """By the key, for its parameters are in dicts, which have none."""
        return hash(self.key)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.generator.medium is not self.medium:
            raise ValueError(f"{self.generator.value} does not make {self.medium.value}")
        if self.output.format.medium is not self.medium:
            raise ValueError(f"{self.output.format.value} does not hold {self.medium.value}")
        if self.generator.edits != isinstance(self.source, EditingSource):
            raise ValueError("source.kind is editing for what cuts files together, and only for that")
        chosen = self.medium is Medium.VIDEO and not self.generator.edits
        if chosen != (self.output.frame_rate is not None):
            raise ValueError("output.frame_rate names a parameter for video that is generated, and only for that")
        if self.output.frame_rate and self.output.frame_rate not in self.parameters:
            raise ValueError(f"output.frame_rate names {self.output.frame_rate!r}, which is no parameter")
        if self.speedups.first_block_cache is not None and self.batching.max > 1:
            raise ValueError("first_block_cache decides for a whole batch, so that a result would not be its own")
        for name, parameter in self.parameters.items():
            if parameter.visibility is Visibility.HIDDEN and parameter.default is None:
                raise ValueError(f"parameter {name} is hidden and has no default")
            if parameter.size and not _above_zero(parameter.default):
                raise ValueError(f"parameter {name} is a size and has no default above zero")
        return self

    @model_validator(mode="after")
    def _batches_fit(self) -> Self:
        """A pass that fails is run again task by task, and each task's time limit counts all of that."""
        if self.batching.max > 1 and 2 * self.batching.max * self.run_seconds > self.time_limit_minutes * 60:
            raise ValueError(f"{self.batching.max} tasks that share a pass could not be run again one by one in time")
        if self.batching.max > 1 and self.inputs:
            raise ValueError("a model with inputs runs one task at a time")
        return self

    @property
    def open_parameters(self) -> dict[str, Parameter]:
        """The parameters a request may set."""
        return {name: p for name, p in self.parameters.items() if p.visibility is not Visibility.HIDDEN}

    @property
    def defaults(self) -> dict[str, JsonValue]:
        """What parameters are that a request leaves out, but for those that it must give or that are drawn for it."""
        return {name: p.default for name, p in self.parameters.items() if p.default not in (None, "random")}

    def shared(self, params: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The parameters that tasks must have alike to share one forward pass."""
        return {name: params.get(name, p.default) for name, p in self.parameters.items() if not p.per_item}

    def sizes(self, params: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The parameters that decide how much memory a run takes."""
        return {name: params.get(name, p.default) for name, p in self.parameters.items() if p.size}

    def work(self, params: Mapping[str, JsonValue]) -> float:
        """How much a run has to do, about: 1 at the defaults, and as many times more as its sizes and whole numbers are
        larger. Steps, frames and pixels count alike; what grows faster than they do is for measurements to say."""
        factor = 1.0
        for name, p in self.parameters.items():
            counts = p.for_pipeline and not p.per_item and (p.size or isinstance(p, IntegerParameter))
            if counts and (usual := _above_zero(p.default)):
                factor *= (_above_zero(params.get(name)) or usual) / usual
        return factor

    def most_together(self, params: Mapping[str, JsonValue]) -> int:
        """How many tasks with these parameters may share one forward pass: fewer when each is larger than usual."""
        larger = 1.0
        for name, value in self.sizes(params).items():
            larger *= _above_zero(value) / _above_zero(self.parameters[name].default)
        return max(1, int(self.batching.max / max(1.0, larger)))


def _above_zero(value: JsonValue) -> float:
    """The number, or 0 for everything else."""
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0


class Catalog(Strict):
    version: Literal[1]
    models: tuple[ModelEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        keys = [entry.key for entry in self.models]
        if repeated := sorted(key for key, times in Counter(keys).items() if times > 1):
            raise ValueError(f"model keys stand twice: {', '.join(repeated)}")
        for entry in self.models:
            if entry.shares is not None and entry.shares not in keys:
                raise ValueError(f"{entry.key} shares {entry.shares!r}, which is not in the catalog")
        return self

    def __getitem__(self, key: str) -> ModelEntry:
        entry = self.get(key)
        if entry is None:
            raise KeyError(key)
        return entry

    def get(self, key: str) -> ModelEntry | None:
        return next((entry for entry in self.models if entry.key == key), None)
