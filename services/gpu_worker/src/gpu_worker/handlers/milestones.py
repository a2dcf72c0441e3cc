"""What an attempt has come to, written into the record and then announced."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import stamina
import structlog
from contracts.errors import RetryableError
from contracts.events import Message, task_changed, task_progressed
from contracts.ports import Publisher
from contracts.records import TaskRecords
from contracts.tasks import Move, Phase, Task
from contracts.topics import App

from gpu_worker.domain.attempts import Attempt

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Milestones:
    app: App
    tasks: TaskRecords
    publisher: Publisher
    keep_trying: timedelta
    """How long a milestone is tried to be saved, or a result to be stored, before the attempt is given up."""

    async def save(self, attempt: Attempt, decide: Callable[[Task], Move], *, keep_trying: bool = True) -> Task:
        """A milestone is worth trying for long: what it stands for has cost a GPU up to hours."""
        async for again in self.tries(None if keep_trying else 1):
            with again:
                task = await self.tasks.change(attempt.assignment.task_id, decide, attempt.seen)
        attempt.seen = task.seq
        if task.phase not in (attempt.announced, Phase.ENCODING):
            attempt.announced = task.phase
            log.info("the run goes on", phase=task.phase.value)
            await self.tell(task_changed(task, self.app))
        return task

    def tries(self, most: int | None = None) -> AsyncIterator[stamina.Attempt]:
        """Try after try while something does not answer, for as long as that is worth it."""
        return aiter(stamina.retry_context(RetryableError, attempts=most, timeout=self.keep_trying.total_seconds()))

    async def tell_progress(self, attempt: Attempt, now: datetime, preview_step: int | None = None) -> None:
        async with attempt.telling:
            if (progressed := attempt.as_progress(preview_step)) is not None:
                await self.tell(task_progressed(progressed, self.app, now))

    async def tell(self, message: Message) -> None:
        """Says it if it can be said. The record holds the truth, and the watchdog says it again."""
        try:
            await self.publisher.publish(message)
        except RetryableError as error:
            log.warning("an announcement was lost", type=message.event.type, reason=error.detail)
