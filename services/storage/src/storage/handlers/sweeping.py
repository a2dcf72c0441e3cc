"""Takes away what failed and abandoned attempts have left in staging."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from contracts.ports import ObjectStore
from contracts.records import TaskRecords
from contracts.topics import STAGING

from storage.domain import staged_for_nobody

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Sweeping:
    tasks: TaskRecords
    objects: ObjectStore
    keep: timedelta

    async def sweep(self, now: datetime) -> datetime:
        """Deletes old files in staging that no attempt will come back for; says when to sweep again."""
        async for staged in self.objects.list(STAGING):
            if now - staged.modified < self.keep:
                continue
            _, task_id, attempt, *_ = staged.key.split("/")
            if staged_for_nobody(await self.tasks.get(task_id), int(attempt), staged.key):
                log.info("an orphan in staging is deleted", key=staged.key)
                await self.objects.delete(staged.key)
        return now + self.keep
