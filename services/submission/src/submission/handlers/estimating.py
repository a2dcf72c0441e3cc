"""Says when tasks will be done, and learns from each that is."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from contracts.catalog import Catalog
from contracts.errors import RetryableError
from contracts.ports import Clock
from contracts.records import TaskRecords
from contracts.tasks import Estimate, Phase, Status, Task

from submission.domain.estimates import (
    Kind,
    behind,
    estimate,
    learned,
    run_seconds,
    still_running,
    wait_seconds,
)
from submission.handlers.budgeting import Budgeting
from submission.handlers.pausing import Pausing
from submission.ports import Backlogs, Experience

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Estimating:
    catalog: Catalog
    experience: Experience
    backlogs: Backlogs
    budgeting: Budgeting
    pausing: Pausing
    clock: Clock
    tasks: TaskRecords

    async def of(self, task: Task) -> Estimate | None:
        """As things stand. None for what has ended, for models that are offered no more, for what is paused or its
        project's budget does not reach, and while what it is learned from does not answer: no task is refused for want
        of one."""
        return (await self.renewed(task.model_copy(update={"estimate": None}))).estimate

    async def renewed(self, task: Task) -> Task:
        """The task with the estimate as things stand, or with the one it has where none can be made.

        What is paused, or its project's budget does not reach, has none: when it starts depends on somebody who may
        resume it or raise that.
        """
        kind = self._kind(task)
        if kind is None or task.phase.terminal:
            return task
        try:
            starts = await self.pausing.over(task) is None and await self.budgeting.reaches(task)
            found = await self._estimate(task, kind) if starts else None
        except RetryableError as error:
            log.warning("no estimate could be made", task_id=task.id, reason=error.detail)
            return task
        return task.model_copy(update={"estimate": found})

    async def learn(self, task: Task) -> None:
        """From a task that has just been done. Safe to repeat."""
        kind = self._kind(task)
        finished = learned(task, kind.shape, kind.work) if kind is not None else None
        if finished is not None and task.finished_at is not None:
            if task.estimate is not None and await self._was_held_up(task, task.estimate.made_at):
                # Its project's money, or an operator's pause, says nothing of how long others will wait.
                finished = replace(finished, error=None)
            await self.experience.add(task.id, finished, task.finished_at)

    async def _was_held_up(self, task: Task, since: datetime) -> bool:
        try:
            return await self.budgeting.may_have_waited(task, since) or await self.pausing.may_have_held_up(task, since)
        except RetryableError:
            return True

    async def _estimate(self, task: Task, kind: Kind) -> Estimate:
        now, finished = self.clock.now(), await self.experience.of(task.model)
        backlog = await self.backlogs.of(task.medium, task.model)
        run = run_seconds(kind, finished, backlog.devices)
        if task.status is Status.PROCESSING:
            return estimate(still_running(task, run, now), now, now, finished)
        if task.phase is Phase.BLOCKED:
            needed = [await self.tasks.get(task_id) for task_id in dict.fromkeys(task.needs.values())]
            expected = [one.estimate for one in needed if one is not None and not one.phase.terminal and one.estimate]
            return behind(expected, run, max(now, task.waits_since), now, finished)
        start = max(now, task.waits_since)
        wait = 0.0 if task.phase is Phase.ASSIGNED else await self._wait(task, start, now)
        return estimate(wait + run, start, now, finished)

    async def _wait(self, task: Task, start: datetime, now: datetime) -> float:
        """What waits now says nothing of a queue at another time."""
        if start > now:
            return 0.0
        backlog = await self.backlogs.of(task.medium, task.model)
        each = {}
        for model in {*backlog.running, *(one.model for one in backlog.waiting)}:
            entry = self.catalog.get(model)
            usual = entry.run_seconds if entry is not None else 1.0
            each[model] = run_seconds(Kind(model, "", 1.0, usual), await self.experience.of(model), backlog.devices)
        own_ahead = await self.backlogs.own_ahead(task)
        return wait_seconds(task.project_id, task.priority, own_ahead, backlog, each)

    def _kind(self, task: Task) -> Kind | None:
        entry = self.catalog.get(task.model)
        if entry is None:
            return None
        shape = json.dumps(entry.shared(task.params), sort_keys=True)
        digest = hashlib.sha256(shape.encode()).hexdigest()[:32]
        return Kind(task.model, digest, entry.work(task.params), entry.run_seconds)
