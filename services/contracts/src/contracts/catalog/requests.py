"""Requests checked against the catalog, and the schemas by which the API describes them.

One pydantic model per catalog entry is built once in a process, when first a validator is made; a request is validated
by its model's own, and the problems it raises name the field, what the catalog allows and what came.
"""

import json
import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache, partial
from typing import Annotated, Any, Literal, Self, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import ErrorDetails

from contracts.catalog.parameters import (
    ChoiceParameter,
    FlagParameter,
    IntegerParameter,
    NumberParameter,
    Parameter,
    TextParameter,
)
from contracts.catalog.schema import Catalog, InputSlot, ModelEntry
from contracts.digests import digest_of_json
from contracts.errors import MOST_PROBLEMS, FieldProblem, InvalidRequest
from contracts.identifiers import MediaId, Moment, PlainText, TaskId
from contracts.identifiers import Tag as TaskTag
from contracts.tasks import MAX_REMINDERS, MAX_TAGS, Priority, Reminder, TaskRequest

SHOWN_OF_GIVEN = 200
FURTHEST_AHEAD = timedelta(days=730)
"""Nobody plans a film by the hour for longer; further dates are slips of the hand."""


class ReminderFields(Reminder):
    """A reminder as it is asked for: either `at` or `before_due_seconds` says when."""

    model_config = ConfigDict(extra="forbid")

    at: Moment | None = Field(default=None, description="When to say it.")
    before_due_seconds: int | None = Field(
        default=None,
        ge=0,
        le=int(FURTHEST_AHEAD.total_seconds()),
        strict=True,
        description="How long before `due_at` to say it.",
    )
    note: PlainText | None = Field(default=None, max_length=200, description="Comes back with the reminder.")

    @model_validator(mode="after")
    def _check_that_one_says_when(self) -> Self:
        if (self.at is None) == (self.before_due_seconds is None):
            raise ValueError("either at or before_due_seconds must say when, and not both")
        return self


class FromTask(BaseModel):
    """The result of another task of the project, once it is done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_task: TaskId


Input = Annotated[
    Annotated[MediaId, Tag("file")] | Annotated[FromTask, Tag("task")],
    Discriminator(lambda given: "task" if isinstance(given, dict | FromTask) else "file"),
]


class SubmitFields(BaseModel):
    """What every request may carry beside its model's own parameters and inputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    priority: Priority = Priority.MEDIUM
    tags: tuple[TaskTag, ...] = Field(default=(), max_length=MAX_TAGS)
    title: PlainText | None = Field(default=None, max_length=200)
    client_ref: PlainText | None = Field(
        default=None, max_length=200, description="Your own id; comes back in every event."
    )
    start_at: Moment | None = Field(default=None, description="Not to be started before.")
    due_at: Moment | None = Field(default=None, description="The deadline: when the result is needed.")
    expires_at: Moment | None = Field(default=None, description="Give up when not started by then.")
    reminders: tuple[ReminderFields, ...] = Field(
        default=(), max_length=MAX_REMINDERS, description="When to be told of the task, should it not have ended."
    )


class RequestValidator:
    """Turns raw requests into `TaskRequest`s."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._models = {entry.key: _request_model(entry) for entry in catalog.models}

    def schema(self, ref_template: str) -> dict[str, Any]:
        """The JSON Schema of a request: one of the models' own, told apart by `model`."""
        union: Any = Union[tuple(self._models.values())]  # noqa: UP007 - the members are known at run time only
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[union, Field(discriminator="model")])
        return adapter.json_schema(ref_template=ref_template)

    def accept(self, raw: Mapping[str, Any], randomness: random.Random) -> TaskRequest:
        """The request with all defaults filled in. Raises `InvalidRequest`."""
        entry, plain = self._checked(raw)
        return _task_request(plain, entry, randomness)

    def content(self, raw: Mapping[str, Any]) -> str:
        """The digest of what makes the result: model, parameters and inputs, before random defaults are drawn.

        Raises `InvalidRequest`.
        """
        _entry, plain = self._checked(raw)
        return digest_of_json({name: plain[name] for name in ("model", "params", "inputs")})

    def _checked(self, raw: Mapping[str, Any]) -> tuple[ModelEntry, dict[str, Any]]:
        entry = self._entry(raw.get("model"))
        try:
            checked = self._models[entry.key].model_validate(raw)
        except ValidationError as error:
            raise InvalidRequest(
                f"{error.error_count()} field(s) of the request do not fit model {entry.key}",
                [_field_problem(details, entry) for details in error.errors(include_url=False)[:MOST_PROBLEMS]],
            ) from None
        return entry, checked.model_dump(mode="json")

    def _entry(self, key: object) -> ModelEntry:
        entry = self._catalog.get(key) if isinstance(key, str) else None
        if entry is None:
            known: list[JsonValue] = [entry.key for entry in self._catalog.models]
            raise InvalidRequest(
                "no such model is offered here",
                [FieldProblem(field="model", detail="unknown model", allowed=known, given=_shown(key))],
            )
        return entry


def _task_request(plain: Mapping[str, Any], entry: ModelEntry, randomness: random.Random) -> TaskRequest:
    params = {name: value for name, value in plain["params"].items() if value is not None}
    for name, parameter in entry.parameters.items():
        if name not in params and isinstance(parameter, IntegerParameter) and parameter.default == "random":
            params[name] = randomness.randint(parameter.min, parameter.max)
    return TaskRequest(
        **{name: plain[name] for name in ("model", *SubmitFields.model_fields)},
        params=params,
        inputs={name: given for name, given in plain["inputs"].items() if isinstance(given, str)},
        needs={name: given["from_task"] for name, given in plain["inputs"].items() if isinstance(given, dict)},
        medium=entry.medium,
        time_limit_seconds=entry.time_limit_minutes * 60,
        max_failures=entry.attempts,
    )


@cache
def _request_model(entry: ModelEntry) -> type[BaseModel]:
    name = "".join(part.capitalize() for part in entry.key.replace(".", "-").split("-"))
    params = _closed_model(f"{name}Params", {n: _field(p) for n, p in entry.open_parameters.items()})
    inputs = _closed_model(f"{name}Inputs", {n: _input_field(slot) for n, slot in entry.inputs.items()})
    all_optional = not any(slot.required for slot in entry.inputs.values())
    key: Any = Literal[entry.key]
    return create_model(
        f"{name}Request",
        __base__=SubmitFields,
        __doc__=f"{entry.title}. {entry.description}",
        model=(key, ...),
        params=(params, ...),
        inputs=(inputs, Field(default_factory=inputs) if all_optional else ...),
    )


def _closed_model(name: str, fields: dict[str, Any]) -> type[BaseModel]:
    return create_model(name, __config__=ConfigDict(frozen=True, extra="forbid"), **fields)


def _input_field(slot: InputSlot) -> Any:
    if slot.required:
        return Input, Field(description=slot.description)
    return Input | None, Field(default=None, description=slot.description)


def _field(parameter: Parameter) -> Any:
    """The pydantic annotation and default of one parameter, bounds and all."""
    default: Any = parameter.default if parameter.default is not None else ...
    schema: dict[str, JsonValue] = {"x-visibility": parameter.visibility.value}
    kind: Any
    match parameter:
        case IntegerParameter():
            schema |= {"x-step": parameter.step} if parameter.step else {}
            kind = Annotated[int, AfterValidator(partial(_check_step, parameter))]
            kind = Annotated[kind, Field(ge=parameter.min, le=parameter.max, strict=True)]
            if parameter.default == "random":
                kind, default = kind | None, None
        case NumberParameter():
            kind = Annotated[float, Field(ge=parameter.min, le=parameter.max, strict=True, allow_inf_nan=False)]
        case TextParameter():
            kind = Annotated[PlainText, Field(min_length=parameter.min_length, max_length=parameter.max_length)]
        case FlagParameter():
            kind = Annotated[bool, Field(strict=True)]
        case ChoiceParameter():
            kind = Literal[parameter.choices]
    return kind, Field(default, description=parameter.description, json_schema_extra=schema)


def _check_step(parameter: IntegerParameter, value: int) -> int:
    if not parameter.on_step(value):
        raise ValueError(f"must be {parameter.min} plus a multiple of {parameter.step}")
    return value


def _field_problem(details: ErrorDetails, entry: ModelEntry) -> FieldProblem:
    location = [str(part) for part in details["loc"]]
    if location[0] == "inputs":
        # What follows is which of the kinds of input it was taken for.
        location = location[:2]
    return FieldProblem(
        field=".".join(location),
        detail=details["msg"].removeprefix("Value error, "),
        allowed=_allowed(location, entry),
        given=None if details["type"] == "missing" else _shown(details["input"]),
    )


_FIXED: Mapping[str, Callable[[], JsonValue]] = {
    "priority": lambda: [priority.value for priority in Priority],
    "tags": lambda: {"max_items": MAX_TAGS, "max_length": 64},
    "title": lambda: {"max_length": 200},
    "client_ref": lambda: {"max_length": 200},
    "reminders": lambda: {
        "max_items": MAX_REMINDERS,
        "each": {"either": ["at", "before_due_seconds"], "note": {"max_length": 200}},
    },
    **dict.fromkeys(("start_at", "due_at", "expires_at"), lambda: "a date and time with an offset, as in RFC 3339"),
}


def _allowed(location: list[str], entry: ModelEntry) -> JsonValue:
    match location:
        case ["params", name, *_] if name in entry.open_parameters:
            return entry.open_parameters[name].allowed()
        case ["params", *_]:
            return {"parameters": list(entry.open_parameters)}
        case ["inputs", name, *_] if name in entry.inputs:
            return input_allowed(entry.inputs[name])
        case ["inputs", *_]:
            return {"inputs": list(entry.inputs)}
        case [name, *_] if name in _FIXED:
            return _FIXED[name]()
        case _:
            return {"fields": ["model", "params", "inputs", *SubmitFields.model_fields]}


def input_allowed(slot: InputSlot) -> str:
    """What may be given for an input, in words."""
    return (
        f'the id of a stored {slot.medium.value} of the same project, or of a task that makes one as {{"from_task": …}}'
    )


def _shown(value: Any) -> JsonValue:
    """What was given, short enough to send back."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= SHOWN_OF_GIVEN else text[:SHOWN_OF_GIVEN] + "…"
