"""What operators see and do across projects, opened by `X-Admin-Key`."""

from typing import Annotated

from chassis.operators import OperatorOf
from chassis.problems import answers
from contracts.errors import NotFound
from contracts.operations import BulkReport, BulkRequest, CrowdView, Selection, TaskDossier
from contracts.operators import Operator
from contracts.records import TaskRecords
from contracts.views import API, HistoryItem, TaskPage, TaskView
from contracts.workers import WorkerStatus
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from submission.domain import LONGEST_PAGE, Sort, read_cursor
from submission.domain.bulk import filter_of
from submission.handlers.bulk import Bulk
from submission.handlers.draining import Draining
from submission.ports import AllTasks, ReadModel, Workers


class TaskQuery(Selection):
    """A selection as the address of a listing holds it."""

    sort: Sort = Sort.NEWEST
    limit: int = Field(default=50, ge=1, le=LONGEST_PAGE)
    cursor: str | None = Field(default=None, max_length=512)


def operation_routes(
    bulk: Bulk,
    all_tasks: AllTasks,
    read_model: ReadModel,
    tasks: TaskRecords,
    workers: Workers,
    draining: Draining,
    operator_of: OperatorOf,
) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/admin", tags=["admin"], dependencies=[Depends(operator_of)], responses=answers(401, 422, 503)
    )
    By = Annotated[Operator, Depends(operator_of)]  # noqa: N806 - a type, made of this service's own dependency

    @router.get("/tasks", summary="Search and list tasks of all projects")
    async def list_tasks(wanted: Annotated[TaskQuery, Query()]) -> TaskPage:
        after = read_cursor(wanted.cursor, wanted.sort) if wanted.cursor else None
        page = await all_tasks.list(filter_of(wanted, wanted.sort), wanted.limit, after)
        following = str(page.next) if page.next else None
        return TaskPage(items=[TaskView.of(task) for task in page.tasks], next_cursor=following)

    @router.get("/tasks/{task_id}", summary="A task's record and history", responses=answers(404))
    async def task(task_id: str) -> TaskDossier:
        found = await tasks.get(task_id)
        if found is None:
            raise NotFound(f"no task {task_id}")
        history = [HistoryItem.model_validate(entry) for entry in await read_model.history(task_id)]
        return TaskDossier(task=TaskView.of(found), history=history)

    @router.post(
        "/tasks/bulk",
        summary="Cancel, retry or re-prioritise many tasks; a dry run unless dry_run is false",
        responses=answers(400, 413),
    )
    async def change_tasks(request: BulkRequest, by: By) -> BulkReport:
        return await bulk.run(request, by)

    @router.get("/queue", summary="What has not ended, counted by project, model and phase")
    async def queue() -> list[CrowdView]:
        return [CrowdView.model_validate(crowd) for crowd in await all_tasks.crowds()]

    @router.get("/workers", summary="Which workers there are, and what each runs for whom")
    async def list_workers() -> list[WorkerStatus]:
        return list(workers.all())

    @router.put(
        "/workers/{worker_id}/drain",
        status_code=202,
        summary="Have a worker take no more work; what it runs goes on",
        responses=answers(404),
    )
    async def drain(worker_id: str, by: By) -> WorkerStatus:
        return await draining.tell(worker_id, True, by)

    @router.delete(
        "/workers/{worker_id}/drain", status_code=202, summary="Have it take work again", responses=answers(404)
    )
    async def resume(worker_id: str, by: By) -> WorkerStatus:
        return await draining.tell(worker_id, False, by)

    return router
