"""What people do with series: ask for, look at, change and end them. Tasks are made in the background."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from contracts.errors import AlreadyExists, IdempotencyMismatch, IllegalTransition, InvalidRequest, LimitReached
from contracts.ports import Clock
from contracts.records import Records
from contracts.series import Series, SeriesPlan

from submission.domain import Cursor
from submission.domain.series import begins_after, edited, ended, own_series
from submission.domain.series_requests import check_has_times, check_plan, in_request, instance_request, plan_digest
from submission.handlers.accepting import Acceptance
from submission.ports import Watched

TAKEN_UP_WITHIN = timedelta(seconds=5)
"""When somebody looks at a series that was about to be changed, should who changes it die."""
SAMPLE_AHEAD = timedelta(hours=1)


@dataclass(frozen=True)
class SeriesLimits:
    per_project: int
    shortest_interval: timedelta


@dataclass(frozen=True)
class Recurring:
    records: Records[Series]
    listed: Watched
    acceptance: Acceptance
    tend_soon: Callable[[], None]
    clock: Clock
    limits: SeriesLimits

    async def create(self, fields: Mapping[str, Any], series_id: str, project_id: str, correlation_id: str) -> Series:
        """The series the request has become, now or when it was first sent.

        Raises `InvalidRequest`, `IdempotencyMismatch`, `LimitReached`, and what submitting a task raises.
        """
        digest = plan_digest(fields)
        series = await self.records.get(series_id)
        if series is None:
            series = await self._create(
                await self.check(fields, project_id), digest, series_id, project_id, correlation_id
            )
        if series.request_digest != digest or series.project_id != project_id:
            raise IdempotencyMismatch(
                f"series {series.id} was made with this key from another request; send a new key, or the same request"
            )
        if not series.ended:
            # The record goes first: without its row nothing comes of it, and nobody was told that it exists.
            await self.listed.add(series.id, project_id, series.created_at, self.clock.now())
            self.tend_soon()
        return series

    async def _create(
        self, plan: SeriesPlan, digest: str, series_id: str, project_id: str, correlation_id: str
    ) -> Series:
        if await self.listed.count(project_id) >= self.limits.per_project:
            raise LimitReached(f"a project may have {self.limits.per_project} series; end one that is no longer needed")
        now = self.clock.now()
        series = Series(
            id=series_id,
            project_id=project_id,
            request_digest=digest,
            correlation_id=correlation_id,
            plan=plan,
            after=begins_after(plan, now),
            created_at=now,
            updated_at=now,
        )
        try:
            await self.records.create(series_id, series)
        except AlreadyExists:
            return await self.records.get(series_id) or series
        return series

    async def check(self, fields: Mapping[str, Any], project_id: str) -> SeriesPlan:
        """The plan that a request is for. Raises what `create` raises, and does nothing else."""
        now = self.clock.now()
        plan = SeriesPlan(**{"from_at": now, **{name: value for name, value in fields.items() if value is not None}})
        check_plan(plan, self.limits.shortest_interval, now)
        await self._check_template(plan, project_id, now)
        check_has_times(plan, now)
        return plan

    async def _check_template(self, plan: SeriesPlan, project_id: str, now: datetime) -> None:
        try:
            await self.acceptance.check_instance(instance_request(plan.request, now + SAMPLE_AHEAD), project_id)
        except InvalidRequest as error:
            wrong = [in_request(problem) for problem in error.errors]
            raise InvalidRequest(f"the series' request cannot become tasks: {error.detail}", wrong) from None

    async def look(self, series_id: str, project_id: str) -> Series:
        """Raises `NotFound`, for an unknown id and for another project's alike."""
        return own_series(await self.records.get(series_id), series_id, project_id)

    async def page(self, project_id: str, limit: int, after: Cursor | None) -> tuple[Sequence[Series], Cursor | None]:
        """The newest first; what has been ended and is over is not among them."""
        ids, following = await self.listed.page(project_id, limit, after)
        found = [await self.records.get(series_id) for series_id in ids]
        return [series for series in found if series is not None], following

    async def change(self, series_id: str, project_id: str, fields: Mapping[str, Any]) -> Series:
        """Changes what has not begun. Raises `NotFound`, `InvalidRequest`, and `IllegalTransition` for an ended one."""

        def changed(series: Series) -> SeriesPlan:
            own_series(series, series_id, project_id)
            if series.ended:
                raise IllegalTransition(f"series {series_id} has been ended; make a new one")
            return _with(series.plan, fields)

        now = self.clock.now()
        plan = changed(await self.look(series_id, project_id))
        check_plan(plan, self.limits.shortest_interval, now)
        if fields.get("request") is not None:
            # Otherwise what is no longer offered could not even be paused.
            await self._check_template(plan, project_id, now)
        return await self._save(series_id, lambda found: edited(found, changed(found), now))

    async def end(self, series_id: str, project_id: str) -> Series:
        """Asks for no more; what has begun goes on. Raises `NotFound`."""
        await self.look(series_id, project_id)
        return await self._save(
            series_id, lambda found: ended(own_series(found, series_id, project_id), self.clock.now())
        )

    async def _save(self, series_id: str, decide: Callable[[Series], Series]) -> Series:
        """The look at it goes first: should this process die after the save, it is carried out all the same."""
        await self.listed.wake(series_id, self.clock.now() + TAKEN_UP_WITHIN)
        series = await self.records.change(series_id, decide)
        await self.listed.wake(series_id, self.clock.now())
        self.tend_soon()
        return series


def _with(plan: SeriesPlan, fields: Mapping[str, Any]) -> SeriesPlan:
    """The plan with these fields instead; one kind of rule replaces the other."""
    changes = dict(fields)
    if changes.get("cron") is not None:
        changes.setdefault("every_seconds", None)
    if changes.get("every_seconds") is not None:
        changes.setdefault("cron", None)
    for name in ("request", "from_at", "time_zone", "overlap", "missed", "paused"):
        if name in changes and changes[name] is None:
            del changes[name]
    return plan.model_copy(update=changes)
