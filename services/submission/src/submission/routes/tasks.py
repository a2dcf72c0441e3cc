"""A project's task: look, cancel, retry, prioritise."""

from typing import Annotated

from chassis.auth import ProjectOf
from chassis.problems import answers
from contracts.pauses import PauseView
from contracts.tasks import Priority
from contracts.views import API, HistoryItem, TaskStatus, TaskView
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from submission.handlers.changing import TaskChanges
from submission.handlers.estimating import Estimating
from submission.handlers.pausing import Pausing
from submission.ports import ReadModel


class TaskChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    priority: Priority


def task_routes(
    changes: TaskChanges, estimating: Estimating, pausing: Pausing, read_model: ReadModel, project_of: ProjectOf
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/tasks/{{task_id}}", tags=["tasks"], responses=answers(401, 404, 422, 503))
    Project = Annotated[str, Depends(project_of)]  # noqa: N806 - a type, made of this service's own dependency

    @router.get("/status", summary="Where a task is")
    async def status(task_id: str, project_id: Project) -> TaskStatus:
        task = await changes.look(task_id, project_id)
        pause = await pausing.over(task)
        view = TaskStatus.of(await estimating.renewed(task))
        return view.model_copy(update={"paused": PauseView.model_validate(pause) if pause is not None else None})

    @router.get("/history", summary="Everything that happened to a task")
    async def history(task_id: str, project_id: Project) -> list[HistoryItem]:
        await changes.look(task_id, project_id)
        return [HistoryItem.model_validate(entry) for entry in await read_model.history(task_id)]

    @router.delete(
        "/cancel",
        summary="Stop a task: at once while it waits, at its next step while it runs",
        responses=answers(409),
    )
    async def cancel(task_id: str, project_id: Project) -> TaskView:
        return TaskView.of(await changes.cancel(task_id, project_id))

    @router.post(
        "/retry",
        status_code=202,
        summary="Send a failed, cancelled or expired task round again",
        responses=answers(409),
    )
    async def retry(task_id: str, project_id: Project) -> TaskView:
        return TaskView.of(await changes.retry(task_id, project_id))

    @router.patch("", summary="Give a task that has not ended another priority", responses=answers(400, 409, 413))
    async def prioritise(task_id: str, change: TaskChange, project_id: Project) -> TaskView:
        return TaskView.of(await changes.prioritise(task_id, project_id, change.priority))

    return router
