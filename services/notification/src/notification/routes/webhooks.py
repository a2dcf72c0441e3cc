"""A project's webhook endpoints."""

from typing import Annotated

from chassis.auth import ProjectOf
from chassis.problems import answers
from contracts.identifiers import PlainText
from contracts.views import API
from fastapi import APIRouter, Depends, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from notification.domain import ENDINGS, DeliveryState
from notification.handlers.registering import Registering
from notification.ports import Endpoint

EventPattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.*_-]+$", max_length=64)]


class NewEndpoint(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: PlainText = Field(max_length=2000, description="A public https address.")
    events: list[EventPattern] = Field(
        default=list(ENDINGS), min_length=1, max_length=32, description="Event types; `*` stands for anything."
    )


class EndpointChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    enabled: StrictBool


class EndpointView(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    project_id: str
    url: str
    events: tuple[str, ...]
    enabled: bool
    disabled_because: str | None
    created_at: AwareDatetime


class NewEndpointView(BaseModel):
    """`secret` verifies the signatures and is shown this once."""

    secret: str
    endpoint: EndpointView


class DeliveryView(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    webhook_id: str
    type: str
    state: DeliveryState
    tries: int
    due: AwareDatetime
    created_at: AwareDatetime
    last_status: int | None
    last_detail: str | None


def webhook_routes(registering: Registering, project_of: ProjectOf) -> APIRouter:
    router = APIRouter(prefix=f"{API}/webhooks", tags=["webhooks"], responses=answers(401, 404, 413, 422, 503))
    Project = Annotated[str, Depends(project_of)]  # noqa: N806 - a type, made of this service's own dependency

    @router.post("", status_code=201, summary="Be told by webhook", responses=answers(400))
    async def register(new: NewEndpoint, project_id: Project) -> NewEndpointView:
        endpoint, secret = await registering.register(project_id, new.url, new.events)
        return NewEndpointView(secret=secret, endpoint=_view(endpoint))

    @router.get("", summary="The project's endpoints")
    async def list_endpoints(project_id: Project) -> list[EndpointView]:
        return [_view(endpoint) for endpoint in await registering.list(project_id)]

    @router.patch("/{endpoint_id}", summary="Switch an endpoint off or on", responses=answers(400))
    async def change(endpoint_id: str, change: EndpointChange, project_id: Project) -> EndpointView:
        return _view(await registering.set_enabled(project_id, endpoint_id, change.enabled))

    @router.delete("/{endpoint_id}", status_code=204, summary="Remove an endpoint")
    async def remove(endpoint_id: str, project_id: Project) -> Response:
        await registering.remove(project_id, endpoint_id)
        return Response(status_code=204)

    @router.get("/{endpoint_id}/deliveries", summary="What was sent, and how it went; newest first")
    async def deliveries(endpoint_id: str, project_id: Project) -> list[DeliveryView]:
        return [DeliveryView.model_validate(found) for found in await registering.log(project_id, endpoint_id)]

    return router


def _view(endpoint: Endpoint) -> EndpointView:
    return EndpointView.model_validate(endpoint)
