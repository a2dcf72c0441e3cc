"""Tickets: what a browser opens the live feed with, which can send no header there."""

from typing import Annotated
from urllib.parse import quote

from chassis.auth import API_KEY
from chassis.problems import answers
from contracts.identifiers import PlainText, Tag
from contracts.views import API
from fastapi import APIRouter, Depends, Response, Security
from pydantic import AwareDatetime, BaseModel, ConfigDict

from notification.domain.live import Scope
from notification.handlers.admitting import Admitting, Wanted

LIVE = f"{API}/live"


class NewTicket(BaseModel):
    """For the whole project, for one of its tasks, or for its tasks with a tag."""

    model_config = ConfigDict(extra="forbid")

    task_id: PlainText | None = None
    tag: Tag | None = None


class TicketView(BaseModel):
    """`sse` and `websocket` are what to open before `expires_at`. What is open then stays open."""

    ticket: str
    expires_at: AwareDatetime
    sse: str
    websocket: str


def ticket_routes(admitting: Admitting) -> APIRouter:
    router = APIRouter(prefix=LIVE, tags=["live"], responses=answers(400, 401, 404, 413, 422, 503))

    async def shown(key: Annotated[str | None, Security(API_KEY)]) -> str | None:
        """The key, looked at before the body is."""
        await admitting.keys.key_of(key)
        return key

    @router.post("/tickets", status_code=201, summary="A ticket to open a live feed with, for browsers")
    async def make_ticket(new: NewTicket, key: Annotated[str | None, Depends(shown)], response: Response) -> TicketView:
        ticket, expires_at, scope = await admitting.ticket(key, Wanted(task_id=new.task_id, tag=new.tag))
        response.headers["Cache-Control"] = "no-store"
        return TicketView(
            ticket=ticket,
            expires_at=expires_at,
            sse=f"{LIVE}/{_path(scope)}?ticket={ticket}",
            websocket=f"{LIVE}/ws?ticket={ticket}",
        )

    return router


def _path(scope: Scope) -> str:
    if scope.task_id is not None:
        return f"tasks/{scope.task_id}"
    return f"projects/{scope.project_id}" if scope.tag is None else f"tags/{quote(scope.tag, safe='')}"
