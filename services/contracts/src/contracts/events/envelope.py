"""What every event is wrapped in: CloudEvents 1.0, and the topic and key it travels by."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from contracts.errors import MalformedEvent
from contracts.identifiers import PlainText, trace_parent
from contracts.topics import Topic

LARGEST_EVENT = 256 * 1024
"""In bytes. A quarter of what brokers take unless told otherwise."""
LARGEST_ANNOUNCED = LARGEST_EVENT // 4
"""How large the first announcement of a task may be: its result says again what it was made from, and some more."""


class CloudEvent(BaseModel):
    """A CloudEvent 1.0 in JSON. Attributes that the sidecar adds are passed over."""

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"] = "1.0"
    id: PlainText = Field(min_length=1, max_length=512)
    source: str = Field(min_length=1, max_length=512)
    type: str = Field(min_length=1, max_length=128)
    subject: str | None = None
    time: AwareDatetime | None = None
    datacontenttype: str = "application/json"
    correlationid: PlainText | None = Field(default=None, max_length=512)
    traceparent: Annotated[str | None, BeforeValidator(trace_parent)] = Field(
        default=None,
        description="W3C Trace Context. Whoever publishes through daprd gives the same as `traceid`, "
        "or daprd puts its own in the place of both.",
    )
    data: dict[str, Any]
    """Looked into by `parse`, as the type says."""


@dataclass(frozen=True)
class Message:
    """An event on its way: where it goes and by which key it is ordered."""

    topic: Topic
    key: str
    event: CloudEvent


class Event(BaseModel):
    model_config = ConfigDict(frozen=True)

    types: ClassVar[tuple[str, ...]]
    topics: ClassVar[tuple[Topic, ...]]


def read_cloud_event(body: bytes) -> CloudEvent:
    """The CloudEvent in a delivery's body. Raises `MalformedEvent`."""
    try:
        return CloudEvent.model_validate_json(body)
    except ValidationError as error:
        raise MalformedEvent(f"no CloudEvent 1.0 in JSON: {'; '.join(reasons(error))}") from None


def reasons(error: ValidationError) -> Iterator[str]:
    """What was wrong, field by field, without the values: they may be anything."""
    for details in error.errors(include_url=False, include_input=False)[:5]:
        yield f"{'.'.join(str(part) for part in details['loc']) or 'body'}: {details['msg']}"
