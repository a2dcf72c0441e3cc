"""What people outside are told, and who wants to be told of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from contracts.events import TaskChanged, TaskRejected, TaskReminder
from contracts.views import TaskView

REMINDER = "task.reminder.v1"
ENDINGS = (
    "task.done.v1",
    "task.failed.v1",
    "task.cancelled.v1",
    "task.expired.v1",
    "task.skipped.v1",
    "task.rejected.v1",
)
HEARD_UNASKED = (*ENDINGS, REMINDER)
"""What an endpoint hears of unless it asks for something else."""


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


def happening_of_change(changed: TaskChanged, event_id: str, change: str) -> Happening:
    task = changed.task
    data = TaskView.of(task).model_dump(mode="json")
    return Happening(event_id, change, task.updated_at, task.project_id, task.id, data)


def happening_of_rejection(rejected: TaskRejected, event_id: str, now: datetime) -> Happening:
    data = rejected.model_dump(mode="json")
    return Happening(event_id, "task.rejected.v1", now, rejected.project_id, None, data)


def happening_of_reminder(reminder: TaskReminder, event_id: str, now: datetime) -> Happening:
    data = reminder.model_dump(mode="json")
    return Happening(event_id, REMINDER, now, reminder.project_id, reminder.task_id, data)


def wants(patterns: Sequence[str], change: str) -> bool:
    return any(fnmatchcase(change, pattern) for pattern in patterns)
