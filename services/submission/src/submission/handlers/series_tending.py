"""Series are tended in the background: what their records intend is done, and the next instances intended.

Every step can be repeated by anybody: what is intended is in the record before it is done, a task's id follows from
series, revision and time, and what was done is noted by compare-and-swap. Two replicas at once are merely slower.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from contracts.errors import NotFound, PermanentError, Problem
from contracts.ports import Clock
from contracts.records import Records, TaskRecords
from contracts.series import Instance, Series
from contracts.tasks import Task

from submission.domain import Origin
from submission.domain.series import (
    WITHDRAWN,
    Outcome,
    let_go,
    made,
    next_look,
    outcome_of,
    over,
    part_of,
    planned,
    settled,
)
from submission.domain.series_requests import instance_request
from submission.handlers.accepting import Acceptance
from submission.handlers.changing import TaskChanges
from submission.handlers.rounds import look_at_due
from submission.ports import Watched

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SeriesTending:
    records: Records[Series]
    listed: Watched
    tasks: TaskRecords
    acceptance: Acceptance
    changes: TaskChanges
    clock: Clock
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by who wants a look before the alarm rings."""

    async def tend_due(self, now: datetime) -> datetime | None:
        """Tends all series that are due; says when the next one is."""
        return await look_at_due(self.listed, self.tend, self._over, "series", now)

    async def _over(self, series_id: str, _taken_until: datetime) -> None:
        await self.listed.remove(series_id)

    async def tend(self, series_id: str) -> datetime | None:
        """Does what the series intends; says when to look at it next, or None when it is over."""
        series = await self.records.get(series_id)
        if series is None:
            return None
        if series.withdrawing:
            outcomes = {one.task_id: await self._withdraw(series, one) for one in series.withdrawing}
            series = await self.records.change(series_id, lambda found: settled(found, outcomes, self.clock.now()))
        gone = {one.task_id for one in series.open if one.made and await self._has_ended(one)}
        series = await self.records.change(series_id, lambda found: self._planned(found, gone))
        intended = [one for one in series.open if not one.made]
        if intended or series.problem is not None:
            series = await self._make(series, intended)
        return None if over(series) else next_look(series, self.clock.now())

    def _planned(self, series: Series, gone: set[str]) -> Series:
        now = self.clock.now()
        return planned(let_go(series, gone, now), now)

    async def _make(self, series: Series, intended: list[Instance]) -> Series:
        """Makes what is intended, up to the first that is refused: what follows would be too."""
        there: set[str] = set()
        problem: Problem | None = None
        for instance in intended:
            try:
                await self._make_instance(series, instance)
            except PermanentError as error:
                problem = error.problem()
                log.warning("an instance cannot be made", series_id=series.id, code=error.code, reason=error.detail)
                break
            there.add(instance.task_id)
        return await self.records.change(series.id, lambda found: made(found, there, problem))

    async def _make_instance(self, series: Series, instance: Instance) -> Task:
        request = instance_request(series.plan.request, instance.at)
        origin = Origin(series.project_id, instance.task_id, series.correlation_id)
        return await self.acceptance.make_instance(request, origin, part_of(series, instance))

    async def _withdraw(self, series: Series, instance: Instance) -> Outcome:
        try:
            if not instance.made:
                # Somebody may be about to make it. Once it exists and is withdrawn, nobody can.
                await self._make_instance(series, instance)
            task = await self.changes.withdraw(instance.task_id, series.project_id, WITHDRAWN)
        except NotFound:
            return Outcome.OVER if instance.made else Outcome.WITHDRAWN
        except PermanentError as error:
            log.info("nothing to withdraw", series_id=series.id, task_id=instance.task_id, reason=error.detail)
            return Outcome.WITHDRAWN
        return outcome_of(task)

    async def _has_ended(self, instance: Instance) -> bool:
        task = await self.tasks.get(instance.task_id)
        return task is None or task.phase.terminal
