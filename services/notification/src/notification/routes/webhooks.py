"""A project's webhook endpoints, and what was sent to them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from chassis.auth import ProjectOf
from chassis.problems import answers
from contracts.identifiers import PlainText
from contracts.views import API
from contracts.webhooks import (
    LONGEST_PAGE,
    DeliveryPage,
    DeliveryState,
    DeliveryView,
    EndpointState,
    Replay,
)
from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from notification.domain.happenings import HEARD_UNASKED
from notification.domain.places import Place, read_place
from notification.domain.secrets import Secret, valid
from notification.handlers.registering import Registering
from notification.handlers.replaying import Replaying
from notification.ports import Delivery, Endpoint

LONGEST_GRACE = timedelta(days=30)

EventPattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.*_-]+$", max_length=64)]
Url = Annotated[PlainText, Field(max_length=2000, description="A public https address.")]
Events = Annotated[
    list[EventPattern], Field(min_length=1, max_length=32, description="Event types; `*` stands for anything.")
]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE)]
Cursor = Annotated[str | None, Query(max_length=512)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewEndpoint(Strict):
    url: Url
    events: Events = list(HEARD_UNASKED)


class EndpointChange(Strict):
    """What is left out stays as it is."""

    url: Url | None = None
    events: Events | None = None
    enabled: StrictBool | None = None


class NewSecret(Strict):
    grace_seconds: int = Field(
        default=86400,
        ge=0,
        le=int(LONGEST_GRACE.total_seconds()),
        description="How long the secrets before it stay valid; 0 ends them at once.",
    )


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class SecretView(Shown):
    id: str
    created_at: AwareDatetime
    expires_at: AwareDatetime | None


class NewSecretView(Shown):
    """`secret` verifies the signatures and is shown this once."""

    secret: str
    id: str
    created_at: AwareDatetime


class EndpointView(Shown):
    id: str
    project_id: str
    url: str
    events: tuple[str, ...]
    enabled: bool
    state: EndpointState
    failing_since: AwareDatetime | None
    next_probe: AwareDatetime | None = Field(
        description="While it is paused or disabled for its failures: when it is asked whether it is back."
    )
    disabled_because: str | None
    created_at: AwareDatetime
    secrets: tuple[SecretView, ...] = Field(description="Those that sign, the newest first.")


class NewEndpointView(Shown):
    """`secret` verifies the signatures and is shown this once."""

    secret: str
    endpoint: EndpointView


class AnswerView(Shown):
    """What one try was answered."""

    at: AwareDatetime
    status: int | None
    detail: str
    milliseconds: int


class WholeDeliveryView(DeliveryView):
    body: str = Field(description="As it is signed and sent.")
    answers: tuple[AnswerView, ...] = Field(description="Of the last tries, the newest at the end.")


class Replayed(Shown):
    replayed: int


class PingView(Shown):
    """What the receiver answered; without a status, `detail` says why there is none."""

    accepted: bool
    status: int | None
    detail: str
    milliseconds: int


def webhook_routes(registering: Registering, replaying: Replaying, project_of: ProjectOf) -> APIRouter:
    router = APIRouter(prefix=f"{API}/webhooks", tags=["webhooks"], responses=answers(401, 404, 413, 422, 503))
    _add_endpoints(router, registering, project_of)
    _add_deliveries(router, replaying, project_of)
    return router


def _add_endpoints(router: APIRouter, registering: Registering, project_of: ProjectOf) -> None:
    Project = Annotated[str, Depends(project_of)]  # noqa: N806 - a type, made of this service's own dependency

    def view(endpoint: Endpoint) -> EndpointView:
        return _endpoint(endpoint, registering.clock.now())

    @router.post("", status_code=201, summary="Be told by webhook", responses=answers(400, 429))
    async def register(new: NewEndpoint, project_id: Project) -> NewEndpointView:
        endpoint, secret = await registering.register(project_id, new.url, new.events)
        return NewEndpointView(secret=secret, endpoint=view(endpoint))

    @router.get("", summary="The project's endpoints")
    async def list_endpoints(project_id: Project) -> list[EndpointView]:
        return [view(endpoint) for endpoint in await registering.list(project_id)]

    @router.get("/{endpoint_id}", summary="One endpoint")
    async def endpoint(endpoint_id: str, project_id: Project) -> EndpointView:
        return view(await registering.own(project_id, endpoint_id))

    @router.patch("/{endpoint_id}", summary="Change an endpoint, or switch it off or on", responses=answers(400, 429))
    async def change(endpoint_id: str, change: EndpointChange, project_id: Project) -> EndpointView:
        return view(await registering.change(project_id, endpoint_id, **dict(change)))

    @router.delete("/{endpoint_id}", status_code=204, summary="Remove an endpoint")
    async def remove(endpoint_id: str, project_id: Project) -> Response:
        await registering.remove(project_id, endpoint_id)
        return Response(status_code=204)

    @router.post(
        "/{endpoint_id}/secrets",
        status_code=201,
        summary="Make a new secret; the old ones go on signing for a while",
        responses=answers(400),
    )
    async def rotate(endpoint_id: str, new: NewSecret, project_id: Project) -> NewSecretView:
        secret, text = await registering.rotate(project_id, endpoint_id, timedelta(seconds=new.grace_seconds))
        return NewSecretView(secret=text, id=secret.id, created_at=secret.created_at)

    @router.post("/{endpoint_id}/ping", summary="Send a signed ping at once", responses=answers(429))
    async def ping(endpoint_id: str, project_id: Project) -> PingView:
        answer = await registering.ping(project_id, endpoint_id)
        milliseconds = round(answer.took / timedelta(milliseconds=1))
        return PingView(accepted=answer.accepted, status=answer.status, detail=answer.detail, milliseconds=milliseconds)


def _add_deliveries(router: APIRouter, replaying: Replaying, project_of: ProjectOf) -> None:
    Project = Annotated[str, Depends(project_of)]  # noqa: N806 - a type, made of this service's own dependency

    @router.get("/{endpoint_id}/deliveries", summary="What was sent, and how it went; newest first")
    async def deliveries(
        endpoint_id: str,
        project_id: Project,
        state: DeliveryState | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> DeliveryPage:
        before = read_place(cursor) if cursor else None
        return page_view(*await replaying.log(project_id, endpoint_id, state, before, limit))

    @router.get("/{endpoint_id}/deliveries/{webhook_id}", summary="One delivery, whole")
    async def delivery(endpoint_id: str, webhook_id: str, project_id: Project) -> WholeDeliveryView:
        found = await replaying.delivery(project_id, endpoint_id, webhook_id)
        tries = tuple(AnswerView.model_validate(tried) for tried in found.answers)
        return WholeDeliveryView(**dict(delivery_view(found)), body=found.body, answers=tries)

    @router.post(
        "/{endpoint_id}/deliveries/{webhook_id}/replay",
        status_code=202,
        summary="Send it again, under its own id",
        responses=answers(409),
    )
    async def replay(endpoint_id: str, webhook_id: str, project_id: Project) -> DeliveryView:
        return delivery_view(await replaying.replay(project_id, endpoint_id, webhook_id))

    @router.post(
        "/{endpoint_id}/replay",
        status_code=202,
        summary="Send again what came in a while, each under its own id and after what is fresh",
        responses=answers(400, 409),
    )
    async def replay_all(endpoint_id: str, wanted: Replay, project_id: Project) -> Replayed:
        which = replaying.wanted(wanted.since, wanted.until, wanted.states)
        return Replayed(replayed=await replaying.replay_all(project_id, endpoint_id, which))


def _endpoint(endpoint: Endpoint, now: datetime) -> EndpointView:
    health = endpoint.health
    return EndpointView(
        id=endpoint.id,
        project_id=endpoint.project_id,
        url=endpoint.url,
        events=endpoint.events,
        enabled=health.off is None,
        state=health.state,
        failing_since=health.failing_since,
        next_probe=health.probe_due,
        disabled_because=health.disabled_because,
        created_at=endpoint.created_at,
        secrets=tuple(_secret(secret) for secret in valid(endpoint.secrets, now)),
    )


def _secret(secret: Secret) -> SecretView:
    return SecretView(id=secret.id, created_at=secret.created_at, expires_at=secret.expires_at)


def page_view(page: Sequence[Delivery], following: Place | None) -> DeliveryPage:
    return DeliveryPage(
        items=[delivery_view(found) for found in page], next_cursor=following.cursor if following else None
    )


def delivery_view(delivery: Delivery) -> DeliveryView:
    last = delivery.answers[-1] if delivery.answers else None
    return DeliveryView(
        webhook_id=delivery.webhook_id,
        type=delivery.type,
        state=delivery.state,
        tries=delivery.tries,
        due=delivery.due,
        created_at=delivery.created_at,
        last_status=last.status if last else None,
        last_detail=last.detail if last else None,
        last_milliseconds=last.milliseconds if last else None,
    )
