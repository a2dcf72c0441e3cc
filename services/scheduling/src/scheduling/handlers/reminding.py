"""Reminders: kept from the moment a task is heard of, and said when their own comes.

Any replica says what it takes; a reminder that was said stays due, a little later, until it has come back from the
bus. So whoever dies, and whatever the broker forgets, it is said again, under an id by which it is told once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from chassis.about import about_task
from contracts.errors import RetryableError
from contracts.events import CloudEvent, TaskReminder, task_reminder
from contracts.ports import Clock, Publisher
from contracts.records import TaskRecords
from contracts.tasks import Task
from contracts.topics import App

from scheduling.domain.reminding import ahead, wanted_at
from scheduling.ports import DueReminder, Reminders

log = structlog.get_logger(__name__)

HEARD_WITHIN = timedelta(seconds=10)
"""How soon a reminder that was said should have come back from the bus."""
AT_ONCE = 100
PAUSE = timedelta(seconds=1)
"""How long the rest waits when one could not be said."""


@dataclass(frozen=True)
class Reminding:
    tasks: TaskRecords
    reminders: Reminders
    publisher: Publisher
    wake_at: Callable[[datetime], None]
    clock: Clock
    late_after: timedelta
    """What is said later than that after its moment is marked as late."""
    on_said: Callable[[timedelta], None]
    """Told how late each was."""

    async def keep(self, task: Task) -> None:
        """Keeps what is to be said of a task that has not ended. What is kept already, or was said, stays so."""
        if moments := ahead(task):
            await self.reminders.keep(task.id, moments)
            self.wake_at(min(moments))

    async def forget(self, task: Task) -> None:
        """Of a task that has ended nobody needs to be reminded."""
        if task.reminders:
            await self.reminders.forget(task.id)

    async def on_heard_by_all(self, reminder: TaskReminder, _envelope: CloudEvent) -> None:
        """It stays written down as said while the task lives, whose every announcement names it again."""
        await self.reminders.settle(DueReminder(reminder.task_id, reminder.at))

    async def say_due(self, now: datetime) -> datetime | None:
        """Says what is due, so many at once; says when the next is."""
        said = True
        while said and (taken := await self.reminders.take(now, now + HEARD_WITHIN, AT_ONCE)):
            said = all(await asyncio.gather(*(self._say_or_put_off(reminder) for reminder in taken)))
            now = self.clock.now()
        due = await self.reminders.next_due()
        return due if said or due is None else max(due, now + PAUSE)

    async def _say_or_put_off(self, reminder: DueReminder) -> bool:
        """Whether what it takes to say something was there."""
        try:
            await self._say(reminder)
        except RetryableError as error:
            log.warning("a reminder is put off", task_id=reminder.task_id, reason=error.detail)
            return False
        except Exception:
            log.exception("saying a reminder met a bug", task_id=reminder.task_id)
        return True

    async def _say(self, reminder: DueReminder) -> None:
        """What to say, and whether to, is in the record: its end may not have been heard of yet."""
        task = await self.tasks.get(reminder.task_id)
        wanted = wanted_at(task, reminder.moment)
        if task is None or wanted is None:
            await self.reminders.drop(reminder)
            return
        now = self.clock.now()
        told = TaskReminder.of(task, reminder.moment, wanted.note).told(now, self.late_after)
        await self.publisher.publish(task_reminder(told, task, App.SCHEDULING, now))
        self.on_said(now - reminder.moment)
        with about_task(task):
            log.info("reminder said", late_seconds=told.late_seconds)
