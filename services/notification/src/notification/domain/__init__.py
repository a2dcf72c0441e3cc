"""What notification decides, as plain functions over plain values."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from contracts.events import TaskChanged, TaskRejected
from contracts.views import TaskView

# Standard Webhooks 1.0.0, "Retry schedule": the wait before each further try.
RETRY_AFTER = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
JITTER = 0.1
LONGEST_RETRY_AFTER = timedelta(days=1)
ENDINGS = ("task.done.v1", "task.failed.v1", "task.cancelled.v1", "task.expired.v1", "task.rejected.v1")
"""What an endpoint hears of unless it asks for something else."""


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Every try of the schedule has failed, or the receiver is gone."""


@dataclass(frozen=True)
class Happening:
    """One event as it is told to people outside: by webhook and in the live feed."""

    event_id: str
    type: str
    at: datetime
    project_id: str
    task_id: str | None
    data: dict[str, Any]

    @property
    def webhook_id(self) -> str:
        """The same over all tries, so that the receiver can drop repetitions. An event's own id may hold anything."""
        return "msg_" + hashlib.sha256(self.event_id.encode()).hexdigest()[:32]

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self.data.get("tags") or ())


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


def happening_of_change(changed: TaskChanged, event_id: str, change: str) -> Happening:
    task = changed.task
    data = TaskView.of(task).model_dump(mode="json")
    return Happening(event_id, change, task.updated_at, task.project_id, task.id, data)


def happening_of_rejection(rejected: TaskRejected, event_id: str, now: datetime) -> Happening:
    data = rejected.model_dump(mode="json")
    return Happening(event_id, "task.rejected.v1", now, rejected.project_id, None, data)


def wants(patterns: Sequence[str], change: str) -> bool:
    return any(fnmatchcase(change, pattern) for pattern in patterns)


@dataclass(frozen=True)
class Answer:
    """What came back from a receiver: a status, or why there is none."""

    status: int | None
    detail: str
    retry_after: timedelta | None = None
    took: timedelta = timedelta()

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """The receiver says that it will never want webhooks again."""
        return self.status == 410

    @property
    def wants_peace(self) -> timedelta | None:
        """For how long the receiver wants to hear nothing at all."""
        return self.retry_after if self.status in (429, 503) else None


def next_try(
    tries: int, answer: Answer, now: datetime, randomness: random.Random, *, hopeless: bool = True
) -> datetime | None:
    """When to try again after the `tries`-th try has failed; None when enough is enough.

    Not `hopeless` is a delivery whose endpoint accepts nothing at all: that is no fault of the delivery's.
    """
    if answer.gone or (hopeless and tries > len(RETRY_AFTER)):
        return None
    wait = RETRY_AFTER[min(tries, len(RETRY_AFTER)) - 1] * (1 + randomness.uniform(0, JITTER))
    return now + max(wait, answer.retry_after or timedelta())


def read_retry_after(header: str | None, date: str | None = None) -> timedelta | None:
    """The wait that a receiver asks for, a day at most: seconds, or a moment.

    A moment is compared with the receiver's own `Date`, so that nobody's clock matters.
    """
    if header is None or not header.isascii():
        return None
    if header.isdigit():
        return min(timedelta(seconds=int(header[:9])), LONGEST_RETRY_AFTER)
    try:
        wait = parsedate_to_datetime(header) - parsedate_to_datetime(date or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta()), LONGEST_RETRY_AFTER)
