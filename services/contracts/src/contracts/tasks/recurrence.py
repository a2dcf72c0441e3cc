"""What a task knows of the series it belongs to: enough to decide about it when its time comes."""

from datetime import timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.identifiers import SeriesId

MISSED_AFTER = timedelta(seconds=60)
"""What could not be released so soon after its time has missed it."""


class Overlap(StrEnum):
    """What becomes of an instance whose time comes while an earlier one of its series has not ended."""

    ALLOW = "allow"
    SKIP = "skip"
    WAIT = "wait"


class Missed(StrEnum):
    """What becomes of times at which the platform was away."""

    RUN = "run"
    """Each is made up for."""
    LATEST = "latest"
    """Only the latest is."""
    SKIP = "skip"


class SeriesPart(BaseModel):
    """Which series a task is an instance of, which of its times it is for, and by which rules it starts."""

    model_config = ConfigDict(frozen=True)

    id: SeriesId
    revision: int = Field(ge=1)
    at: AwareDatetime
    overlap: Overlap = Overlap.ALLOW
    missed: Missed = Missed.RUN
