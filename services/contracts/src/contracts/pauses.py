"""What operators have paused: nothing of it is given to a worker until they resume it. What runs goes on."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from contracts.media import Medium

REMEMBERED = timedelta(days=1)
"""How long it is known that something was resumed; longer than ageing takes to lift anything as high as it can."""
EVERYTHING = "all"
"""The id of the one document that holds them."""


class PauseKind(StrEnum):
    MEDIUM = "medium"
    MODEL = "model"
    PROJECT = "project"


class Pause(BaseModel):
    model_config = ConfigDict(frozen=True)

    kind: PauseKind
    target: str
    since: AwareDatetime
    by: str
    """Who it was, as they said themselves."""
    reason: str = ""
    resumed_at: AwareDatetime | None = None

    def covers(self, project_id: str, medium: Medium, model: str) -> bool:
        match self.kind:
            case PauseKind.MEDIUM:
                return self.target == medium.value
            case PauseKind.MODEL:
                return self.target == model
            case PauseKind.PROJECT:
                return self.target == project_id

    @property
    def in_words(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return (
            f"{self.kind.value.capitalize()} {self.target} has been paused since {self.since:%Y-%m-%d %H:%M} UTC by "
            f"{self.by}{why}. What runs goes on; what waits keeps its place."
        )


class PauseView(BaseModel):
    """A pause as people see it."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    kind: PauseKind
    target: str
    since: AwareDatetime
    by: str
    reason: str
    in_words: str


class Pauses(BaseModel):
    """The stored document: all that is paused, and what was resumed lately."""

    model_config = ConfigDict(frozen=True)

    pauses: tuple[Pause, ...] = ()

    @property
    def going_on(self) -> tuple[Pause, ...]:
        return tuple(pause for pause in self.pauses if pause.resumed_at is None)

    def going_on_of(self, kind: PauseKind, target: str) -> Pause | None:
        return next((one for one in self.going_on if (one.kind, one.target) == (kind, target)), None)

    def over(self, project_id: str, medium: Medium, model: str) -> Pause | None:
        """What keeps such a task from being started, the longest first."""
        return next((pause for pause in self.going_on if pause.covers(project_id, medium, model)), None)

    def ages_from(self, project_id: str, medium: Medium, model: str) -> datetime | None:
        """When such tasks began to wait for others again: who was paused has not waited for them."""
        return max(self._resumed(project_id, medium, model), default=None)

    def held_up(self, project_id: str, medium: Medium, model: str, since: datetime) -> bool:
        """Whether such a task may have waited for a pause to end after `since`."""
        resumed = self.ages_from(project_id, medium, model)
        return self.over(project_id, medium, model) is not None or (resumed is not None and resumed > since)

    def paused(self, pause: Pause) -> Self:
        """With the pause; as it is where there is one already, whose reason and operator stay."""
        if self.going_on_of(pause.kind, pause.target) is not None:
            return self
        return self._with([*self.pauses, pause], pause.since)

    def resumed(self, kind: PauseKind, target: str, now: datetime) -> Self:
        """Without the pause; as it is where there is none."""
        ending = self.going_on_of(kind, target)
        if ending is None:
            return self
        return self._with(
            [one.model_copy(update={"resumed_at": now}) if one is ending else one for one in self.pauses], now
        )

    def _resumed(self, project_id: str, medium: Medium, model: str) -> Iterator[datetime]:
        for pause in self.pauses:
            if pause.resumed_at is not None and pause.covers(project_id, medium, model):
                yield pause.resumed_at

    def _with(self, pauses: list[Pause], now: datetime) -> Self:
        known = [one for one in pauses if one.resumed_at is None or now - one.resumed_at < REMEMBERED]
        return self.model_copy(update={"pauses": tuple(known)})
