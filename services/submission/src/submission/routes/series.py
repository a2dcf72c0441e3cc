"""A project's series: tasks that are asked for again and again."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from asgi_correlation_id import correlation_id
from chassis.auth import ProjectOf
from chassis.problems import answers
from contracts.errors import Problem
from contracts.identifiers import Moment, PlainText, ProjectId, SeriesId, TaskId, series_id_for
from contracts.ports import Clock
from contracts.series import Instance, Series, SeriesPlan
from contracts.tasks import Missed, Overlap
from contracts.views import API
from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StrictBool, StrictInt

from submission.domain import LONGEST_PAGE, Sort, read_cursor
from submission.domain.occurrences import in_words
from submission.domain.series import SeriesState, begins_after, first_times, next_times, state_of
from submission.handlers.recurring import Recurring
from submission.routes.callers import idempotency_header, own_project

IdempotencyKey = Annotated[str | None, idempotency_header("series")]
Seconds = Annotated[StrictInt | None, Field(description="Every so many seconds, counted from `from_at`.")]
Cron = Annotated[PlainText | None, Field(description="Minute, hour, day of month, month, day of week.")]
Template = Annotated[
    dict[str, JsonValue],
    Field(
        description="A task request, with `due_after_seconds` and `expires_after_seconds`, counted from each time, "
        "in place of `start_at`, `due_at` and `expires_at`."
    ),
]


class NewSeries(BaseModel):
    """Exactly one of `cron` and `every_seconds` says when."""

    model_config = ConfigDict(extra="forbid")

    title: PlainText | None = Field(default=None, max_length=200)
    request: Template
    cron: Cron = None
    time_zone: PlainText = Field(default="UTC", description="Of the cron expression; a name of the IANA database.")
    every_seconds: Seconds = None
    from_at: Moment | None = Field(default=None, description="Nothing before; by default as soon as it is made.")
    until_at: Moment | None = Field(default=None, description="Nothing after.")
    count: StrictInt | None = Field(default=None, description="How many instances in all.")
    overlap: Overlap = Field(
        default=Overlap.ALLOW, description="What becomes of an instance while an earlier one has not ended."
    )
    missed: Missed = Field(default=Missed.RUN, description="What becomes of times at which the platform was away.")
    paused: StrictBool = False


class SeriesChange(BaseModel):
    """What is left out stays. Instances that have not begun are made anew."""

    model_config = ConfigDict(extra="forbid")

    title: PlainText | None = Field(default=None, max_length=200)
    request: Template | None = None
    cron: Cron = None
    time_zone: PlainText | None = None
    every_seconds: Seconds = None
    from_at: Moment | None = None
    until_at: Moment | None = None
    count: StrictInt | None = None
    overlap: Overlap | None = None
    missed: Missed | None = None
    paused: StrictBool | None = None


class NextTime(BaseModel):
    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    in_words: str
    """The same on a clock of the series' time zone."""

    @classmethod
    def all_of(cls, times: Sequence[datetime], plan: SeriesPlan) -> list[Self]:
        return [cls(at=at, in_words=in_words(at, plan.time_zone)) for at in times]


class InstanceView(BaseModel):
    model_config = ConfigDict(frozen=True)

    task_id: TaskId
    revision: int
    at: AwareDatetime
    status: str
    """Where its task can be looked at."""

    @classmethod
    def of(cls, instance: Instance) -> Self:
        shown = instance.model_dump(exclude={"made"})
        return cls(**shown, status=f"{API}/tasks/{instance.task_id}/status")


class ListedSeries(BaseModel):
    """A series. `revision` rises with every change; `instances` are those that have not ended, at most ten."""

    model_config = ConfigDict(frozen=True)

    id: SeriesId
    project_id: ProjectId
    state: SeriesState
    title: str | None
    request: dict[str, JsonValue]
    cron: str | None
    time_zone: str
    every_seconds: int | None
    from_at: AwareDatetime
    until_at: AwareDatetime | None
    count: int | None
    overlap: Overlap
    missed: Missed
    paused: bool
    revision: int
    made: int
    """How many of its times have been taken up so far, those of `instances` included."""
    problem: Problem | None
    """Why no further instance can be made; tried again every quarter of an hour, and after a change."""
    instances: list[InstanceView]
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @classmethod
    def of(cls, series: Series, **more: Any) -> Self:
        return cls(
            **series.plan.model_dump(),
            **series.model_dump(include={"id", "project_id", "revision", "made", "created_at", "updated_at"}),
            state=state_of(series),
            problem=series.problem,
            instances=[InstanceView.of(instance) for instance in series.open if instance.made],
            **more,
        )


class SeriesView(ListedSeries):
    """A series as it is shown alone. Times are looked up for no whole page: the rarest take long to find."""

    next: list[NextTime]
    """The times to come."""


class SeriesPage(BaseModel):
    """Series, and the cursor of the next page, if there is one."""

    model_config = ConfigDict(frozen=True)

    items: list[ListedSeries]
    next_cursor: str | None


class Preview(BaseModel):
    model_config = ConfigDict(frozen=True)

    next: list[NextTime]


def series_routes(
    recurring: Recurring, project_of: ProjectOf, clock: Clock, new_series_id: Callable[[], str]
) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/projects/{{project_id}}/series", tags=["series"], responses=answers(401, 404, 422, 503)
    )
    Own = Annotated[str, Depends(own_project(project_of))]  # noqa: N806 - a type, made of this service's own dependency

    def shown(series: Series) -> SeriesView:
        return SeriesView.of(series, next=NextTime.all_of(next_times(series, clock.now()), series.plan))

    @router.post("", status_code=201, summary="Ask for a task again and again", responses=answers(400, 403, 413, 429))
    async def create(project: Own, series: NewSeries, idempotency_key: IdempotencyKey = None) -> SeriesView:
        series_id = series_id_for(project, idempotency_key) if idempotency_key else new_series_id()
        made = await recurring.create(series.model_dump(), series_id, project, correlation_id.get() or series_id)
        return shown(made)

    @router.post("/preview", summary="When a series would have its next times", responses=answers(400, 403, 413))
    async def preview(project: Own, series: NewSeries) -> Preview:
        plan = await recurring.check(series.model_dump(), project)
        return Preview(next=NextTime.all_of(first_times(plan, begins_after(plan, clock.now())), plan))

    @router.get("", summary="A project's series, the newest first")
    async def page(
        project: Own,
        limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=512)] = None,
    ) -> SeriesPage:
        found, following = await recurring.page(project, limit, read_cursor(cursor, Sort.NEWEST) if cursor else None)
        return SeriesPage(
            items=[ListedSeries.of(series) for series in found], next_cursor=str(following) if following else None
        )

    @router.get("/{series_id}", summary="A series, its next times and its open instances")
    async def look(series_id: str, project: Own) -> SeriesView:
        return shown(await recurring.look(series_id, project))

    @router.patch(
        "/{series_id}",
        summary="Change, pause or resume a series: for what has not begun",
        responses=answers(400, 403, 409, 413),
    )
    async def change(series_id: str, changes: SeriesChange, project: Own) -> SeriesView:
        return shown(await recurring.change(series_id, project, changes.model_dump(exclude_unset=True)))

    @router.delete("/{series_id}", summary="End a series: what has not begun is withdrawn, what has begun goes on")
    async def end(series_id: str, project: Own) -> SeriesView:
        return shown(await recurring.end(series_id, project))

    return router
