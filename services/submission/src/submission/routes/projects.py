"""What a project has: its tasks, what waits, and what was used."""

from typing import Annotated

from chassis.auth import ProjectOf
from chassis.problems import answers
from contracts.identifiers import Moment
from contracts.media import Medium
from contracts.pauses import PauseView
from contracts.ports import Clock
from contracts.queues import TaskQueue
from contracts.tasks import Priority, Status
from contracts.usage import ProjectUsage
from contracts.views import API, TaskPage, TaskView
from fastapi import APIRouter, Depends, Query

from submission.domain import LONGEST_PAGE, QUEUE_SHOWN, Sort, TaskFilter, queue_of, read_cursor, words_of
from submission.domain.used import check_period, usage_of
from submission.handlers.budgeting import Budgeting
from submission.handlers.pausing import Pausing
from submission.ports import ReadModel
from submission.routes.callers import own_project


def project_routes(
    read_model: ReadModel, budgeting: Budgeting, pausing: Pausing, project_of: ProjectOf, clock: Clock
) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/projects/{{project_id}}", tags=["projects"], responses=answers(401, 404, 422, 503)
    )
    Own = Annotated[str, Depends(own_project(project_of))]  # noqa: N806 - a type, made of this service's own dependency

    @router.get("/tasks", summary="Search and list")
    async def list_tasks(
        own: Own,
        wanted: Annotated[TaskFilter, Depends(_filter)],
        limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=512)] = None,
    ) -> TaskPage:
        after = read_cursor(cursor, wanted.sort) if cursor else None
        page = await read_model.list(own, wanted, limit, after)
        following = str(page.next) if page.next else None
        return TaskPage(items=[TaskView.of(task) for task in page.tasks], next_cursor=following)

    @router.get("/queue", summary="What waits, and in which order")
    async def queue(own: Own) -> TaskQueue:
        tallies = await read_model.tallies(own)
        first = await read_model.first_waiting(own, QUEUE_SHOWN)
        paused = [PauseView.model_validate(pause) for pause in await pausing.of_project(own)]
        return queue_of(own, tallies, first, clock.now(), await budgeting.report(own), paused)

    @router.get("/usage", summary="What was used of GPUs, and what of it came to nothing")
    async def usage(
        own: Own,
        since: Annotated[Moment | None, Query(description="Tasks that were asked for from then on.")] = None,
        until: Annotated[Moment | None, Query(description="Tasks that were asked for before.")] = None,
    ) -> ProjectUsage:
        check_period(since, until)
        used = await read_model.used(own, since, until)
        return usage_of(own, used, since, until, await budgeting.report(own))

    return router


def _filter(
    status: Annotated[list[Status] | None, Query()] = None,
    medium: Annotated[list[Medium] | None, Query()] = None,
    model: Annotated[list[str] | None, Query()] = None,
    priority: Annotated[list[Priority] | None, Query()] = None,
    tag: Annotated[list[str] | None, Query(description="Every one must be on the task.")] = None,
    q: Annotated[str, Query(max_length=500, description="Words, or their beginnings, in title and prompt.")] = "",
    sort: Sort = Sort.NEWEST,
) -> TaskFilter:
    return TaskFilter(
        statuses=status or (),
        media=medium or (),
        models=model or (),
        priorities=priority or (),
        tags=tag or (),
        words=words_of(q),
        sort=sort,
    )
