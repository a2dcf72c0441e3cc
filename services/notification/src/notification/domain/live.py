"""Who may watch what live, and whether a feed can tell it without a gap."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True)
class Scope:
    """What a live watcher hears of: all of a project, one of its tasks, or its tasks with a tag."""

    project_id: str
    task_id: str | None = None
    tag: str | None = None

    def covers(self, project_id: str, task_id: str | None, tags: Sequence[str]) -> bool:
        return (
            project_id == self.project_id and self.task_id in (None, task_id) and (self.tag is None or self.tag in tags)
        )


def widest(scopes: Collection[Scope]) -> list[Scope]:
    """What all of them cover together, in an order of its own: parts of a project that is watched as a whole say
    nothing more."""
    whole = {scope.project_id for scope in scopes if scope == Scope(scope.project_id)}
    found = {scope for scope in scopes if scope.project_id not in whole} | {Scope(project_id) for project_id in whole}
    return sorted(found, key=lambda scope: (scope.project_id, scope.task_id or "", scope.tag or ""))


@dataclass(frozen=True)
class Admission:
    """What may be watched, and the API key by which: for as long as that is valid."""

    key_id: str
    scope: Scope


def page_may_open(origin: str | None, host: str | None, allowed: Sequence[str]) -> bool:
    """Whether a web page may open a WebSocket, which no browser keeps it from: pages of the API's own host may,
    those of allowed origins, and what is no page."""
    if origin is None or "*" in allowed or origin in allowed:
        return True
    return bool(host) and origin.partition("://")[2] == host


@dataclass
class Allowance:
    """How often somebody may do something, by the minute."""

    a_minute: int
    _since: datetime | None = None
    _spent: int = 0

    def spend(self, now: datetime) -> bool:
        """Whether it may be done once more."""
        if self._since is None or now - self._since >= timedelta(minutes=1):
            self._since, self._spent = now, 0
        self._spent += 1
        return self._spent <= self.a_minute


class Gap(StrEnum):
    """Why the feed cannot tell everything after a position."""

    FORGOTTEN = "forgotten"
    """What came next is older than what is kept."""
    UNKNOWN = "unknown"
    """The position was never given out: it is another database's."""


def gap_after(position: int, oldest: int, newest: int) -> Gap | None:
    """Whether something is missing after a position in a feed that is kept from `oldest` to `newest`.

    0 is before everything: who asks from there wants what is kept.
    """
    if position > newest:
        return Gap.UNKNOWN
    return Gap.FORGOTTEN if 0 < position < oldest - 1 else None
