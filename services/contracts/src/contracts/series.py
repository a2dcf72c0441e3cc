"""A series: a task that is asked for again and again. Its record is the only truth about it."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from contracts.errors import Problem
from contracts.identifiers import ProjectId, SeriesId, TaskId
from contracts.tasks import Missed, Overlap


class SeriesPlan(BaseModel):
    """What a person has asked for. Exactly one of `cron` and `every_seconds` is given."""

    model_config = ConfigDict(frozen=True)

    title: str | None = None
    request: dict[str, JsonValue]
    """A task request, with `due_after_seconds` and `expires_after_seconds` for moments."""
    cron: str | None = None
    time_zone: str = "UTC"
    every_seconds: int | None = None
    from_at: AwareDatetime
    until_at: AwareDatetime | None = None
    count: int | None = None
    overlap: Overlap = Overlap.ALLOW
    missed: Missed = Missed.RUN
    paused: bool = False


class Instance(BaseModel):
    """One of the times of a series, and the task that is for it."""

    model_config = ConfigDict(frozen=True)

    task_id: TaskId
    revision: int
    at: AwareDatetime
    made: bool = False
    """False as long as the task is only intended: it may exist or not."""


class Series(BaseModel):
    """The stored record. `submission.domain` makes new versions of it; tasks are made and withdrawn as it says."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    id: SeriesId
    project_id: ProjectId
    request_digest: str
    correlation_id: str
    plan: SeriesPlan
    revision: int = Field(default=1, ge=1)
    """Rises with every change of the plan. Instances of older revisions that had begun stay as they are."""

    after: AwareDatetime
    """Times later than this one have no instance yet."""
    begun_until: AwareDatetime | None = None
    """The latest time whose instance has begun: no revision makes that time again."""
    made: int = Field(default=0, ge=0)
    """How many of its times have been taken up, other than those withdrawn."""
    open: tuple[Instance, ...] = ()
    withdrawing: tuple[Instance, ...] = ()
    """Were open when the plan changed: to be withdrawn, unless they have begun."""
    exhausted: bool = False
    """The rule has no further times."""
    problem: Problem | None = None
    """Why the next instance cannot be made."""
    ended: bool = False
    created_at: AwareDatetime
    updated_at: AwareDatetime
