"""Tasks are asked for: new ones, and done ones once more."""

from collections.abc import Callable
from typing import Annotated, Any

from asgi_correlation_id import correlation_id
from chassis.auth import ProjectOf
from chassis.problems import answers
from contracts.errors import InvalidRequest
from contracts.identifiers import task_id_for, trace_parent
from contracts.tasks import Task
from contracts.views import API, TaskView
from fastapi import APIRouter, Depends, Request, Response
from pydantic_core import from_json

from submission.domain import Origin
from submission.handlers.accepting import Acceptance
from submission.routes.callers import idempotency_header

IdempotencyKey = Annotated[str | None, idempotency_header("task")]


def submit_routes(acceptance: Acceptance, project_of: ProjectOf, new_task_id: Callable[[], str]) -> APIRouter:
    router = APIRouter(prefix=f"{API}/tasks", tags=["tasks"], responses=answers(401, 404, 422, 503))
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
        "/submit",
        status_code=202,
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

    @router.post(
        "/{task_id}/replay",
        status_code=202,
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

    return router


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidRequest("the body must be a JSON object")
    return found
