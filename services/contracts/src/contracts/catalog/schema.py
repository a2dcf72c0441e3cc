"""The schema of the model catalog, the single source of truth about models.

Validation of requests, OpenAPI, worker dispatch and `GET /api/v1/models` all derive from it.
"""

from collections import Counter
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from contracts.identifiers import ModelKey, Name
from contracts.media import Medium

LONGEST_TIME_LIMIT_MINUTES = 300


class Visibility(StrEnum):
    BASIC = "basic"
    ADVANCED = "advanced"
    HIDDEN = "hidden"
    """Fixed by the catalog: passed to the pipeline, not accepted from a request."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Parameter(_Strict):
    description: str = ""
    visibility: Visibility = Visibility.BASIC
    argument: str | None = None
    """The pipeline's name for it, where it differs from the parameter's own.

    The argument `generator` is special: its value seeds the random generator given to the pipeline.
    """
    for_pipeline: bool = True
    """False for what only the encoder needs."""


class IntegerParameter(_Parameter):
    type: Literal["integer"]
    min: int
    max: int
    step: int | None = Field(default=None, gt=0)
    """Allowed values are `min`, `min + step`, `min + 2*step` and so on, as in an HTML number field."""
    default: int | Literal["random"] | None = None
    """`random` draws one when the request is accepted, so that the record can repeat it."""

    def allowed(self) -> dict[str, JsonValue]:
        bounds: dict[str, JsonValue] = {"type": "integer", "min": self.min, "max": self.max}
        return bounds if self.step is None else {**bounds, "step": self.step}

    def on_step(self, value: int) -> bool:
        return self.step is None or (value - self.min) % self.step == 0

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        if isinstance(self.default, int) and not (self.min <= self.default <= self.max and self.on_step(self.default)):
            raise ValueError(f"default {self.default} is outside its own range")
        return self


class NumberParameter(_Parameter):
    type: Literal["number"]
    min: float
    max: float
    default: float | None = None

    def allowed(self) -> dict[str, JsonValue]:
        return {"type": "number", "min": self.min, "max": self.max}

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        if self.default is not None and not self.min <= self.default <= self.max:
            raise ValueError(f"default {self.default} is outside its own range")
        return self


class TextParameter(_Parameter):
    type: Literal["text"]
    min_length: int = Field(default=0, ge=0)
    max_length: int = Field(gt=0)
    default: str | None = None

    def allowed(self) -> dict[str, JsonValue]:
        return {"type": "text", "min_length": self.min_length, "max_length": self.max_length}


class FlagParameter(_Parameter):
    type: Literal["flag"]
    default: bool

    def allowed(self) -> dict[str, JsonValue]:
        return {"type": "flag"}


class ChoiceParameter(_Parameter):
    type: Literal["choice"]
    choices: tuple[str, ...] = Field(min_length=1)
    default: str | None = None

    def allowed(self) -> dict[str, JsonValue]:
        return {"type": "choice", "choices": list(self.choices)}

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        if self.default is not None and self.default not in self.choices:
            raise ValueError(f"default {self.default!r} is not one of its choices")
        return self


Parameter = Annotated[
    IntegerParameter | NumberParameter | TextParameter | FlagParameter | ChoiceParameter, Field(discriminator="type")
]


class InputSlot(_Strict):
    """A file of the project that the model takes."""

    medium: Medium
    description: str = ""
    required: bool = True
    longest_side: int = Field(default=2048, gt=0)
    """Pictures larger than so many pixels are scaled down before the model sees them."""


class BundledSource(_Strict):
    """Weights made by this project's own script; see `gpu_worker.engine.tiny_models`."""

    kind: Literal["bundled"]
    name: str


class HubSource(_Strict):
    """Weights in the Hugging Face hub's layout. `revision` should be a commit, so that a run can be repeated."""

    kind: Literal["hub"]
    repo: str
    revision: str
    variant: str | None = None


class Generator(StrEnum):
    """What goes in and what comes out; chooses the code that runs the pipeline."""

    TEXT_TO_IMAGE = "text_to_image"
    IMAGE_TO_IMAGE = "image_to_image"
    TEXT_TO_VIDEO = "text_to_video"
    IMAGE_TO_VIDEO = "image_to_video"
    TEXT_TO_AUDIO = "text_to_audio"

    @property
    def medium(self) -> Medium:
        return Medium(self.value.rpartition("_")[2])


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


class Output(_Strict):
    format: OutputFormat
    frame_rate: Name | None = None
    """For video: the parameter that says how many frames a second are shown."""


class Batching(_Strict):
    max: int = Field(default=1, ge=1)


class Needs(_Strict):
    """What a worker must have. `cpu` allows a worker without a GPU."""

    vram_mb: int = Field(ge=0)
    cpu: bool = False


class ModelEntry(_Strict):
    key: ModelKey
    title: str
    description: str
    licence: str
    medium: Medium
    generator: Generator
    pipeline: str
    """Class name in `diffusers`."""
    source: Annotated[BundledSource | HubSource, Field(discriminator="kind")]
    shares: ModelKey | None = None
    """The entry whose loaded components this one reuses through `from_pipe`."""
    dtype: Literal["float32", "float16", "bfloat16"]
    needs: Needs
    load_seconds: float = Field(gt=0)
    """About how long loading takes; what a switch of models costs."""
    run_seconds: float = Field(gt=0)
    """About how long one run takes at the default parameters."""
    time_limit_minutes: float = Field(gt=0, le=LONGEST_TIME_LIMIT_MINUTES)
    attempts: int = Field(default=3, ge=1, le=10)
    batching: Batching = Batching()
    output: Output
    parameters: dict[Name, Parameter]
    inputs: dict[Name, InputSlot] = {}

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.generator.medium is not self.medium:
            raise ValueError(f"{self.generator.value} does not make {self.medium.value}")
        if self.output.format.medium is not self.medium:
            raise ValueError(f"{self.output.format.value} does not hold {self.medium.value}")
        if (self.medium is Medium.VIDEO) != (self.output.frame_rate is not None):
            raise ValueError("output.frame_rate names a parameter for video, and only for video")
        if self.output.frame_rate and self.output.frame_rate not in self.parameters:
            raise ValueError(f"output.frame_rate names {self.output.frame_rate!r}, which is no parameter")
        for name, parameter in self.parameters.items():
            if parameter.visibility is Visibility.HIDDEN and parameter.default is None:
                raise ValueError(f"parameter {name} is hidden and has no default")
        return self

    @property
    def open_parameters(self) -> dict[str, Parameter]:
        """The parameters a request may set."""
        return {name: p for name, p in self.parameters.items() if p.visibility is not Visibility.HIDDEN}


class Catalog(_Strict):
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
