"""The live feed as Server-Sent Events, by project, task or tag: with an API key, or with a ticket in a browser."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Annotated

import structlog
from chassis.auth import API_KEY
from chassis.problems import answers
from contracts.errors import InvalidRequest, RetryableError, Unauthenticated
from contracts.identifiers import Tag
from fastapi import APIRouter, Depends, Header, Path, Query, Security
from fastapi.security import APIKeyQuery
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from notification.domain.live import Admission
from notification.handlers.admitting import Admitting, Wanted
from notification.handlers.watchers import Item
from notification.handlers.watching import Watching
from notification.routes.live_tickets import LIVE

log = structlog.get_logger(__name__)

PING_SECONDS = 15
RETRY_MILLISECONDS = 3000
TICKET = APIKeyQuery(
    name="ticket",
    scheme_name="LiveTicket",
    auto_error=False,
    description="From `POST /api/v1/live/tickets`: opens one live feed within a minute, for browsers.",
)

Key = Annotated[str | None, Security(API_KEY)]
Ticket = Annotated[str | None, Security(TICKET)]
LastId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=20, description="Where to resume; 0 for all that is kept.")
]
LastIdInQuery = Annotated[
    str | None, Query(alias="last_event_id", max_length=20, description="The same, where no header can be sent.")
]


def live_routes(admitting: Admitting, watching: Watching, send_within: timedelta) -> APIRouter:
    router = APIRouter(
        prefix=LIVE,
        tags=["live"],
        default_response_class=EventSourceResponse,
        responses=answers(401, 404, 422, 429, 503),
    )

    @asynccontextmanager
    async def admitted(key: str | None, ticket: str | None, wanted: Wanted) -> AsyncIterator[Admission]:
        """With a place among the project's watchers until the connection has ended."""
        opened = admitting.with_key(key, wanted) if ticket is None else admitting.with_ticket(ticket, wanted)
        admission = await opened
        with watching.place(admission.scope.project_id):
            yield admission

    async def to_project(project_id: Annotated[str, Path()], key: Key, ticket: Ticket) -> AsyncIterator[Admission]:
        async with admitted(key, ticket, Wanted(project_id=project_id)) as admission:
            yield admission

    async def to_task(task_id: Annotated[str, Path()], key: Key, ticket: Ticket) -> AsyncIterator[Admission]:
        async with admitted(key, ticket, Wanted(task_id=task_id)) as admission:
            yield admission

    async def to_tag(tag: Annotated[Tag, Path()], key: Key, ticket: Ticket) -> AsyncIterator[Admission]:
        async with admitted(key, ticket, Wanted(tag=tag)) as admission:
            yield admission

    def streamed(admission: Admission, last_id: int | None) -> EventSourceResponse:
        return EventStream(admitting, admission, watching.watch(admission.scope, last_id), send_within)

    @router.get("/tasks/{task_id}", summary="A task's life as Server-Sent Events")
    async def task_events(
        own: Annotated[Admission, Depends(to_task)], last_id: Annotated[int | None, Depends(resume_after)]
    ) -> EventSourceResponse:
        return streamed(own, last_id)

    @router.get("/projects/{project_id}", summary="A project's life as Server-Sent Events")
    async def project_events(
        own: Annotated[Admission, Depends(to_project)], last_id: Annotated[int | None, Depends(resume_after)]
    ) -> EventSourceResponse:
        return streamed(own, last_id)

    @router.get("/tags/{tag:path}", summary="The life of all tasks with a tag as Server-Sent Events")
    async def tag_events(
        own: Annotated[Admission, Depends(to_tag)], last_id: Annotated[int | None, Depends(resume_after)]
    ) -> EventSourceResponse:
        return streamed(own, last_id)

    return router


async def resume_after(last_id: LastId = None, in_query: LastIdInQuery = None) -> int | None:
    """A browser that reconnects sends the header, and repeats the query of its first request."""
    return position_of(last_id or in_query)


def position_of(last_id: str | None) -> int | None:
    if not last_id:
        return None
    if not (last_id.isascii() and last_id.isdigit() and len(last_id) <= 18):
        raise InvalidRequest("Last-Event-ID must be an id that this feed has given out")
    return int(last_id)


async def while_admitted(
    admitting: Admitting, admission: Admission, items: AsyncGenerator[Item]
) -> AsyncGenerator[Item]:
    """A connection may stand for days, and its key be revoked meanwhile."""
    async with aclosing(items):
        async for item in items:
            try:
                await admitting.confirm(admission)
            except Unauthenticated:
                return
            except RetryableError as error:
                log.warning("a live watcher has to come back", reason=error.detail)
                return
            yield item


class EventStream(EventSourceResponse):
    """What a watcher is told, until it goes or takes nothing any more."""

    def __init__(
        self, admitting: Admitting, admission: Admission, items: AsyncGenerator[Item], send_within: timedelta
    ) -> None:
        events = _events(while_admitted(admitting, admission, items))
        super().__init__(events, ping=PING_SECONDS, send_timeout=send_within.total_seconds())

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("a live watcher takes nothing and is dropped")


async def _events(items: AsyncGenerator[Item]) -> AsyncGenerator[ServerSentEvent]:
    async with aclosing(items):
        yield ServerSentEvent(retry=RETRY_MILLISECONDS)
        async for item in items:
            position = str(item.position) if item.position is not None else None
            yield ServerSentEvent(item.text, event=item.type, id=position)
