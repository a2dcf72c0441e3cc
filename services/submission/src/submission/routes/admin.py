"""The operator's part of the API, opened by `X-Admin-Key`."""

from datetime import timedelta
from typing import Annotated, Self

from chassis.operators import OperatorOf
from chassis.problems import answers
from contracts.budgets import Budget
from contracts.identifiers import Moment, PlainText, ProjectId
from contracts.operations import ActionView, IssuedKey, KeyView
from contracts.operators import Operator
from contracts.projects import ApiKey, Project
from contracts.views import API
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from submission.handlers.administering import Administration
from submission.ports import Directory

Limit = Annotated[int, Query(ge=1, le=1000)]


class NewProject(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: ProjectId
    name: PlainText = Field(min_length=1, max_length=200)


class ProjectChange(BaseModel):
    """What is left out stays as it is; a `budget` of null is taken away."""

    model_config = ConfigDict(extra="forbid")

    active: StrictBool | None = None
    budget: Budget | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.active is None and "budget" not in self.model_fields_set:
            raise ValueError("say what to change: active, budget or both")
        return self


class NewKey(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: PlainText = Field(default="", max_length=200)
    expires_at: Moment | None = None


class KeyRotation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    grace_seconds: int = Field(default=86_400, strict=True, ge=0, le=30 * 86_400)
    """How long the old key goes on working."""


def admin_routes(administration: Administration, directory: Directory, operator_of: OperatorOf) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/admin", tags=["admin"], dependencies=[Depends(operator_of)], responses=answers(401, 422, 503)
    )
    By = Annotated[Operator, Depends(operator_of)]  # noqa: N806 - a type, made of this service's own dependency

    @router.post("/projects", status_code=201, summary="Create a project", responses=answers(400, 409, 413))
    async def create_project(project: NewProject, by: By) -> Project:
        return await administration.create_project(project.id, project.name, by)

    @router.get("/projects", summary="All projects")
    async def list_projects() -> list[Project]:
        return list(await administration.list_projects())

    @router.patch(
        "/projects/{project_id}",
        summary="Suspend or activate a project; set, change or take away its budget of GPU-seconds",
        responses=answers(400, 404, 413),
    )
    async def change_project(project_id: ProjectId, change: ProjectChange, by: By) -> Project:
        if "budget" not in change.model_fields_set:
            return await administration.set_active(project_id, change.active is True, by)
        if change.active is not None:
            await administration.set_active(project_id, change.active, by)
        return await administration.set_budget(project_id, change.budget, by)

    @router.post(
        "/projects/{project_id}/keys", status_code=201, summary="Issue an API key", responses=answers(400, 404, 413)
    )
    async def create_key(project_id: ProjectId, new: NewKey, by: By) -> IssuedKey:
        key, text = await administration.create_key(project_id, new.label, new.expires_at, by)
        return IssuedKey(key=text, details=_view(key))

    @router.get("/projects/{project_id}/keys", summary="A project's keys", responses=answers(404))
    async def list_keys(project_id: ProjectId) -> list[KeyView]:
        return [_view(key) for key in await administration.list_keys(project_id)]

    @router.delete("/projects/{project_id}/keys/{key_id}", summary="Revoke a key", responses=answers(404))
    async def revoke_key(project_id: ProjectId, key_id: str, by: By) -> KeyView:
        return _view(await administration.revoke_key(project_id, key_id, by))

    @router.post(
        "/projects/{project_id}/keys/{key_id}/rotate",
        status_code=201,
        summary="Issue a key in place of one, which goes on working for a while",
        responses=answers(400, 404, 413),
    )
    async def rotate_key(project_id: ProjectId, key_id: str, rotation: KeyRotation, by: By) -> IssuedKey:
        grace = timedelta(seconds=rotation.grace_seconds)
        key, text = await administration.rotate_key(project_id, key_id, grace, by)
        return IssuedKey(key=text, details=_view(key))

    @router.get("/audit", summary="What operators did, newest first")
    async def audit(limit: Limit = 100) -> list[ActionView]:
        return [ActionView.model_validate(action) for action in await directory.actions(limit)]

    return router


def _view(key: ApiKey) -> KeyView:
    return KeyView.model_validate(key)
