"""The live feed: Server-Sent Events and WebSocket, by task or for the whole project."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from chassis.auth import API_KEY, ApiKeys, ProjectOf
from chassis.problems import answers
from contracts.errors import InvalidRequest, NotFound, RetryableError, Unauthenticated
from contracts.views import API
from fastapi import APIRouter, Depends, Header, Path, Request, WebSocket
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import HTTPConnection

from notification.handlers.watching import Item, Watching

log = structlog.get_logger(__name__)

PING_SECONDS = 15
SEND_WITHIN_SECONDS = 30
UNAUTHENTICATED, NOT_FOUND, TRY_AGAIN = 4401, 4404, 1013

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)]


def live_routes(watching: Watching, keys: ApiKeys, project_of: ProjectOf) -> APIRouter:
    router = APIRouter(prefix=f"{API}/live", tags=["live"], responses=answers(401, 404, 422, 503))
    Project = Annotated[str, Depends(project_of)]  # noqa: N806 - a type, made of this service's own dependency

    @router.get("/tasks/{task_id}", summary="A task's life as Server-Sent Events", response_class=EventSourceResponse)
    async def task_events(
        task_id: str, own: Project, request: Request, last_event_id: LastEventId = None
    ) -> EventSourceResponse:
        await watching.check(own, task_id)
        return _stream(_while_valid(keys, request, watching.watch(own, task_id, _position(last_event_id))))

    @router.get(
        "/projects/{project_id}", summary="A project's life as Server-Sent Events", response_class=EventSourceResponse
    )
    async def project_events(
        project_id: Annotated[str, Path()], own: Project, request: Request, last_event_id: LastEventId = None
    ) -> EventSourceResponse:
        if project_id != own:
            raise NotFound(f"no project {project_id}")
        await watching.check(own, None)
        return _stream(_while_valid(keys, request, watching.watch(own, None, _position(last_event_id))))

    @router.websocket("/ws")
    async def web_socket(socket: WebSocket, task_id: str | None = None, last_event_id: str | None = None) -> None:
        """The same by WebSocket: the key in the `X-API-Key` header, one JSON object a message."""
        await socket.accept()
        try:
            own = await keys.project_of(socket.headers.get(API_KEY.model.name))
            await watching.check(own, task_id)
            after = _position(last_event_id)
        except Unauthenticated as error:
            await socket.close(UNAUTHENTICATED, error.detail)
        except (NotFound, InvalidRequest) as error:
            await socket.close(NOT_FOUND, error.detail)
        except RetryableError:
            await socket.close(TRY_AGAIN, "not now; come back")
        else:
            await _talk(socket, _while_valid(keys, socket, watching.watch(own, task_id, after)))

    return router


def _position(last_event_id: str | None) -> int | None:
    if not last_event_id:
        return None
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= 18):
        raise InvalidRequest("Last-Event-ID must be an id that this feed has given out")
    return int(last_event_id)


async def _while_valid(keys: ApiKeys, connection: HTTPConnection, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """A connection may stand for days, and its key be revoked meanwhile."""
    async for item in items:
        try:
            await keys.project_of(connection.headers.get(API_KEY.model.name))
        except Unauthenticated:
            return
        yield item


def _stream(items: AsyncIterator[Item]) -> EventSourceResponse:
    async def events() -> AsyncIterator[ServerSentEvent]:
        async for item in items:
            position = str(item.position) if item.position is not None else None
            yield ServerSentEvent(json.dumps(item.data), event=item.type, id=position)

    return EventSourceResponse(events(), ping=PING_SECONDS, send_timeout=SEND_WITHIN_SECONDS)


async def _talk(socket: WebSocket, items: AsyncIterator[Item]) -> None:
    """Sends until the client goes or falls behind. What the client says is read and not heeded."""
    sending = asyncio.create_task(_send_all(socket, items))
    try:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
    except RuntimeError:
        log.debug("the socket is closed already")
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _send_all(socket: WebSocket, items: AsyncIterator[Item]) -> None:
    async for item in items:
        await socket.send_json({"id": item.position, "type": item.type, "data": item.data})
    await socket.close(TRY_AGAIN, "fallen behind; come back with last_event_id")
