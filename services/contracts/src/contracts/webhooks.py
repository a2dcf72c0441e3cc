"""Webhooks as they are shown: the same in the API and in the `movie-tasks` command."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool

from contracts.identifiers import Moment, ProjectId
from contracts.views import View

LONGEST_PAGE = 100


class EndpointState(StrEnum):
    HEALTHY = "healthy"
    FAILING = "failing"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Every try of the schedule has failed, or the receiver is gone."""


class DeliveryView(View):
    webhook_id: str
    type: str
    state: DeliveryState
    tries: int = Field(description="Since it was first due, or replayed.")
    due: AwareDatetime = Field(description="When it is tried next, or when it ended.")
    created_at: AwareDatetime
    last_status: int | None
    last_detail: str | None
    last_milliseconds: int | None


class DeliveryPage(View):
    """Deliveries, and the cursor of the next page, if there is one."""

    items: list[DeliveryView]
    next_cursor: str | None


class Replay(BaseModel):
    """What came to an endpoint in a while and ended so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Moment
    until: Moment | None = Field(default=None, description="Before this moment; now, unless it is given.")
    states: Annotated[list[Literal["failed", "delivered"]], Field(min_length=1, max_length=2)] = ["failed"]


class BulkReplay(Replay):
    """What came to an endpoint in a while and ended so. Unless `dry_run` is false it is only counted."""

    dry_run: StrictBool = True


class ReplayReport(View):
    dry_run: bool
    matched: int
    by_state: dict[DeliveryState, int]
    replayed: int
    """How many go out again: none in a dry run."""


class ReceiverView(View):
    """A project's endpoint as operators see it: without its secrets, and of its address only whose it is, because
    receivers keep secrets in the rest of it."""

    id: str
    project_id: ProjectId
    receiver: str = Field(description="Scheme, host and port of its address.")
    events: tuple[str, ...]
    state: EndpointState
    failing_since: AwareDatetime | None
    next_probe: AwareDatetime | None
    disabled_because: str | None
    created_at: AwareDatetime
