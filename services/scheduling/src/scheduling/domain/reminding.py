"""Which reminders of a task are still to be said."""

from collections.abc import Sequence
from datetime import datetime

from contracts.tasks import Reminder, Task


def ahead(task: Task) -> Sequence[datetime]:
    """The moments that lay ahead when the record was saved.

    A record that comes back to life by a retry names moments that came while it was over, or were said before; an
    accepted one names none that has passed, however late it is heard of.
    """
    return [moment for moment in task.reminded_at if moment > task.updated_at]


def wanted_at(task: Task | None, moment: datetime) -> Reminder | None:
    """The reminder to say, if the record names it and has not ended."""
    return task.reminded_at.get(moment) if task is not None and not task.phase.terminal else None
