"""The parameters of a model: their types, ranges and defaults, and who may set them."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator


class Visibility(StrEnum):
    BASIC = "basic"
    ADVANCED = "advanced"
    HIDDEN = "hidden"
    """Fixed by the catalog: passed to the pipeline, not accepted from a request."""


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Parameter(Strict):
    description: str = ""
    visibility: Visibility = Visibility.BASIC
    argument: str | None = None
    """The pipeline's name for it, where it differs from the parameter's own.

    The argument `generator` is special: its value seeds the random generator given to the pipeline.
    """
    for_pipeline: bool = True
    """False for what only the encoder needs."""
    per_item: bool = False
    """Whether tasks may differ in it and still share one forward pass: the pipeline takes a list of it."""
    size: bool = False
    """Whether the memory and time of a run grow in proportion to it. For numbers with a default."""


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
