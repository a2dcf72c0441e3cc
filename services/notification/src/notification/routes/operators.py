"""The webhooks of any project, opened by `X-Admin-Key`.

Not below the projects' own paths: those are another service's, and an ingress tells services apart by how paths begin.
"""

from typing import Annotated
from urllib.parse import urlsplit

from chassis.operators import OperatorOf
from chassis.problems import answers
from contracts.identifiers import ProjectId
from contracts.operators import Operator
from contracts.views import API
from contracts.webhooks import (
    BulkReplay,
    DeliveryPage,
    DeliveryState,
    DeliveryView,
    ReceiverView,
    ReplayReport,
)
from fastapi import APIRouter, Depends

from notification.domain.places import read_place
from notification.handlers.operating import Operating
from notification.ports import Endpoint
from notification.routes.webhooks import Cursor, Limit, delivery_view, page_view

OF_PROJECT = "/{project_id}"
OF_ENDPOINT = "/{project_id}/{endpoint_id}"


def operator_routes(operating: Operating, operator_of: OperatorOf) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/admin/webhooks",
        tags=["admin"],
        dependencies=[Depends(operator_of)],
        responses=answers(401, 404, 422, 503),
    )
    By = Annotated[Operator, Depends(operator_of)]  # noqa: N806 - a type, made of this service's own dependency

    @router.get(OF_PROJECT, summary="A project's endpoints, and how they are doing")
    async def endpoints(project_id: ProjectId) -> list[ReceiverView]:
        return [_receiver(endpoint) for endpoint in await operating.endpoints(project_id)]

    @router.get(f"{OF_ENDPOINT}/deliveries", summary="What was sent to one, and how it went; newest first")
    async def deliveries(
        project_id: ProjectId,
        endpoint_id: str,
        state: DeliveryState | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> DeliveryPage:
        before = read_place(cursor) if cursor else None
        return page_view(*await operating.log(project_id, endpoint_id, state, before, limit))

    @router.get(f"{OF_ENDPOINT}/deliveries/{{webhook_id}}", summary="How one delivery went")
    async def delivery(project_id: ProjectId, endpoint_id: str, webhook_id: str) -> DeliveryView:
        return delivery_view(await operating.delivery(project_id, endpoint_id, webhook_id))

    @router.post(
        f"{OF_ENDPOINT}/deliveries/{{webhook_id}}/replay",
        status_code=202,
        summary="Send it again, under its own id",
        responses=answers(409),
    )
    async def replay(project_id: ProjectId, endpoint_id: str, webhook_id: str, by: By) -> DeliveryView:
        return delivery_view(await operating.replay(project_id, endpoint_id, webhook_id, by))

    @router.post(
        f"{OF_ENDPOINT}/replay",
        status_code=202,
        summary="Send again what came in a while; a dry run unless dry_run is false",
        responses=answers(400, 409, 413),
    )
    async def replay_all(project_id: ProjectId, endpoint_id: str, request: BulkReplay, by: By) -> ReplayReport:
        return await operating.replay_all(project_id, endpoint_id, request, by)

    @router.post(f"{OF_ENDPOINT}/enable", summary="Switch it on, and send what waits for it")
    async def enable(project_id: ProjectId, endpoint_id: str, by: By) -> ReceiverView:
        return _receiver(await operating.enable(project_id, endpoint_id, by))

    return router


def _receiver(endpoint: Endpoint) -> ReceiverView:
    address, health = urlsplit(endpoint.url), endpoint.health
    return ReceiverView(
        id=endpoint.id,
        project_id=endpoint.project_id,
        receiver=f"{address.scheme}://{address.netloc.rpartition('@')[2]}",
        events=endpoint.events,
        state=health.state,
        failing_since=health.failing_since,
        next_probe=health.probe_due,
        disabled_because=health.disabled_because,
        created_at=endpoint.created_at,
    )
