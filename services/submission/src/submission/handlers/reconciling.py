"""The second net: what has been quiet for long is announced again from its record.

Every service follows tasks by what it hears. Should one have lost its tables, or a broker more than the
outbox knows of, this brings the open tasks back to it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from chassis.about import about_task
from contracts.events import task_changed
from contracts.ports import Publisher
from contracts.records import TaskRecords
from contracts.topics import App

from submission.ports import ReadModel

log = structlog.get_logger(__name__)

EVERY = timedelta(minutes=5)
QUIET_FOR = timedelta(minutes=15)
AT_ONCE = 500


@dataclass(frozen=True)
class Reconciling:
    tasks: TaskRecords
    read_model: ReadModel
    publisher: Publisher

    async def sweep(self, now: datetime) -> datetime:
        """Announces what has been quiet; says when to look again."""
        behind = await self.read_model.take_turn(now, now + EVERY)
        if behind is None:
            return now + EVERY
        quiet = await self.read_model.quiet_since(now - QUIET_FOR, behind, AT_ONCE)
        for task_id, heard_seq in quiet:
            task = await self.tasks.get(task_id)
            if task is not None:
                with about_task(task):
                    log.info("announced again", phase=task.phase.value)
                await self.read_model.correct(task, heard_seq)
                await self.publisher.publish(task_changed(task, App.SUBMISSION))
        # Those that did not fit in begin the next turn, so that all have theirs.
        await self.read_model.next_turn_behind(quiet[-1][0] if len(quiet) == AT_ONCE else "")
        return now + EVERY
