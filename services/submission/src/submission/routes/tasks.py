"""A project's tasks: submit, look, cancel, retry, prioritise, replay, list."""

from collections.abc import Callable
from typing import Annotated, Any

from asgi_correlation_id import correlation_id
from chassis.auth import ProjectOf
from chassis.problems import answers
from contracts.errors import InvalidRequest, NotFound
from contracts.identifiers import task_id_for, trace_parent
from contracts.media import Medium
from contracts.ports import Clock
from contracts.queues import TaskQueue
from contracts.tasks import Priority, Status, Task
from contracts.views import API, TaskView
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic_core import from_json

from submission.domain import LONGEST_PAGE, QUEUE_SHOWN, Origin, Sort, TaskFilter, queue_of, read_cursor, words_of
from submission.handlers.accepting import Acceptance
from submission.handlers.changing import TaskChanges
from submission.ports import ReadModel

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key and body again meet the same task; another body is refused.",
    ),
]


class TaskPage(BaseModel):
    """Tasks, and the cursor of the next page, if there is one."""

    model_config = ConfigDict(frozen=True)

    items: list[TaskView]
    next_cursor: str | None


class TaskChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    priority: Priority


class HistoryItem(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    event_id: str
    type: str
    at: AwareDatetime
    seq: int
    phase: str
    attempt: int
    worker_id: str | None
    detail: str | None


def task_routes(
    acceptance: Acceptance,
    changes: TaskChanges,
    read_model: ReadModel,
    project_of: ProjectOf,
    clock: Clock,
    new_task_id: Callable[[], str],
) -> APIRouter:
    router = APIRouter(prefix=API, responses=answers(401, 404, 422, 503))
    Project = Annotated[str, Depends(project_of)]  # noqa: N806 - a type, made of this service's own dependency

    def origin_of(request: Request, project_id: str, idempotency_key: str | None) -> Origin:
        task_id = task_id_for(project_id, idempotency_key) if idempotency_key else new_task_id()
        trace = trace_parent(request.headers.get("traceparent"))
        return Origin(project_id, task_id, correlation_id.get() or task_id, trace)

    def accepted(task: Task, response: Response) -> TaskView:
        view = TaskView.of(task)
        response.headers["Location"] = view.links.status
        return view

    @router.post(
        "/tasks/submit",
        status_code=202,
        tags=["tasks"],
        summary="Ask for media to be made",
        responses=answers(403, 413),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TaskRequest"}}},
            }
        },
    )
    async def submit(
        request: Request, response: Response, project_id: Project, idempotency_key: IdempotencyKey = None
    ) -> TaskView:
        origin = origin_of(request, project_id, idempotency_key)
        return accepted(await acceptance.submit(_read_json(await request.body()), origin), response)

    @router.get("/tasks/{task_id}/status", tags=["tasks"], summary="Where a task is")
    async def status(task_id: str, project_id: Project) -> TaskView:
        return TaskView.of(await changes.look(task_id, project_id))

    @router.get("/tasks/{task_id}/history", tags=["tasks"], summary="Everything that happened to a task")
    async def history(task_id: str, project_id: Project) -> list[HistoryItem]:
        await changes.look(task_id, project_id)
        return [HistoryItem.model_validate(entry) for entry in await read_model.history(task_id)]

    @router.delete(
        "/tasks/{task_id}/cancel",
        tags=["tasks"],
        summary="Stop a task: at once while it waits, at its next step while it runs",
        responses=answers(409),
    )
    async def cancel(task_id: str, project_id: Project) -> TaskView:
        return TaskView.of(await changes.cancel(task_id, project_id))

    @router.post(
        "/tasks/{task_id}/retry",
        status_code=202,
        tags=["tasks"],
        summary="Send a failed, cancelled or expired task round again",
        responses=answers(409),
    )
    async def retry(task_id: str, project_id: Project) -> TaskView:
        return TaskView.of(await changes.retry(task_id, project_id))

    @router.patch(
        "/tasks/{task_id}",
        tags=["tasks"],
        summary="Give a task that has not ended another priority",
        responses=answers(400, 409, 413),
    )
    async def prioritise(task_id: str, change: TaskChange, project_id: Project) -> TaskView:
        return TaskView.of(await changes.prioritise(task_id, project_id, change.priority))

    @router.post(
        "/tasks/{task_id}/replay",
        status_code=202,
        tags=["tasks"],
        summary="Make a done task's result again, as a new task, and compare the two",
        responses=answers(403, 409),
    )
    async def replay(
        task_id: str,
        request: Request,
        response: Response,
        project_id: Project,
        idempotency_key: IdempotencyKey = None,
    ) -> TaskView:
        origin = origin_of(request, project_id, idempotency_key)
        return accepted(await acceptance.replay(task_id, origin), response)

    @router.get("/projects/{project_id}/tasks", tags=["projects"], summary="Search and list")
    async def list_tasks(
        project_id: Annotated[str, Path()],
        own: Project,
        response: Response,
        wanted: Annotated[TaskFilter, Depends(_filter)],
        limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=512)] = None,
    ) -> TaskPage:
        _same(project_id, own)
        after = read_cursor(cursor, wanted.sort) if cursor else None
        page = await read_model.list(own, wanted, limit, after)
        following = str(page.next) if page.next else None
        return TaskPage(items=[TaskView.of(task) for task in page.tasks], next_cursor=following)

    @router.get("/projects/{project_id}/queue", tags=["projects"], summary="What waits, and in which order")
    async def queue(project_id: Annotated[str, Path()], own: Project) -> TaskQueue:
        _same(project_id, own)
        tallies = await read_model.tallies(own)
        return queue_of(own, tallies, await read_model.first_waiting(own, QUEUE_SHOWN), clock.now())

    return router


def _same(named: str, own: str) -> None:
    """Another project's name is answered as one that does not exist."""
    if named != own:
        raise NotFound(f"no project {named}")


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidRequest("the body must be a JSON object")
    return found


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
