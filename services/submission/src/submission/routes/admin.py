"""The operator's part of the API, opened by `X-Admin-Key`."""

from typing import Annotated

from asgi_correlation_id import correlation_id
from chassis.auth import ADMIN_KEY, same_secret
from chassis.problems import answers
from contracts.errors import Unauthenticated
from contracts.identifiers import Moment, PlainText, ProjectId
from contracts.projects import ApiKey, Project
from contracts.views import API
from fastapi import APIRouter, Depends, Query, Request, Security
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, SecretStr, StrictBool

from submission.handlers.administering import Administration, Operator
from submission.ports import Directory

Limit = Annotated[int, Query(ge=1, le=1000)]


class NewProject(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: ProjectId
    name: PlainText = Field(min_length=1, max_length=200)


class ProjectChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    active: StrictBool


class NewKey(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: PlainText = Field(default="", max_length=200)
    expires_at: Moment | None = None


class KeyView(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    project_id: ProjectId
    label: str
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    revoked_at: AwareDatetime | None


class IssuedKey(BaseModel):
    """A new key. `key` is shown this once; what is kept cannot bring it back."""

    key: str
    details: KeyView


class ActionView(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    at: AwareDatetime
    action: str
    target: str
    before: JsonValue
    after: JsonValue
    address: str
    correlation_id: str


class LetterView(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    at: AwareDatetime
    app: str
    topic: str
    reason: str
    event: str


def admin_routes(administration: Administration, directory: Directory, admin_key: SecretStr) -> APIRouter:
    async def operator(request: Request, presented: Annotated[str | None, Security(ADMIN_KEY)]) -> Operator:
        if not same_secret(presented, admin_key.get_secret_value()):
            raise Unauthenticated("send the operator's key in the X-Admin-Key header")
        return Operator(request.client.host if request.client else "?", correlation_id.get() or "")

    router = APIRouter(
        prefix=f"{API}/admin", tags=["admin"], dependencies=[Depends(operator)], responses=answers(401, 422, 503)
    )
    By = Annotated[Operator, Depends(operator)]  # noqa: N806 - a type, made of this service's own dependency

    @router.post("/projects", status_code=201, summary="Create a project", responses=answers(400, 409, 413))
    async def create_project(project: NewProject, by: By) -> Project:
        return await administration.create_project(project.id, project.name, by)

    @router.get("/projects", summary="All projects")
    async def list_projects() -> list[Project]:
        return list(await administration.list_projects())

    @router.patch("/projects/{project_id}", summary="Suspend or activate a project", responses=answers(400, 404, 413))
    async def change_project(project_id: ProjectId, change: ProjectChange, by: By) -> Project:
        return await administration.set_active(project_id, change.active, by)

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

    @router.get("/audit", summary="What operators did, newest first")
    async def audit(limit: Limit = 100) -> list[ActionView]:
        return [ActionView.model_validate(action) for action in await directory.actions(limit)]

    @router.get("/dead-letters", summary="Events that could not be handled, with the reason, newest first")
    async def dead_letters(limit: Limit = 100) -> list[LetterView]:
        return [LetterView.model_validate(letter) for letter in await directory.letters(limit)]

    return router


def _view(key: ApiKey) -> KeyView:
    return KeyView.model_validate(key)
