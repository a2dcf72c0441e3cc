"""The live feed by WebSocket: one JSON object a message. What the client says is read and not heeded."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import structlog
from chassis.auth import API_KEY
from contracts.errors import InvalidRequest, LimitReached, NotFound, RetryableError, Unauthenticated
from contracts.identifiers import Tag
from contracts.ports import Clock
from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from notification.domain.live import Allowance, page_may_open
from notification.handlers.admitting import Admitting, Wanted
from notification.handlers.watchers import Item
from notification.handlers.watching import Watching
from notification.routes.live import position_of, while_admitted
from notification.routes.live_tickets import LIVE

log = structlog.get_logger(__name__)

TRY_AGAIN, TOO_MUCH = 1013, 1008
UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, LIMIT_REACHED = 4401, 4403, 4404, 4429
HEARD_A_MINUTE = 60

Close = tuple[int, str]
GONE: Close | None = None


@dataclass(frozen=True)
class Manners:
    """How a client has to behave."""

    origins: Sequence[str]
    """Pages on other hosts that may connect with a ticket."""
    send_within: timedelta
    clock: Clock


def socket_routes(admitting: Admitting, watching: Watching, manners: Manners) -> APIRouter:
    router = APIRouter(prefix=LIVE)

    @router.websocket("/ws")
    async def web_socket(
        socket: WebSocket,
        task_id: str | None = None,
        tag: Annotated[Tag | None, Query()] = None,
        last_event_id: str | None = None,
        ticket: str | None = None,
    ) -> None:
        """With the key in the `X-API-Key` header, or with a ticket."""
        await socket.accept()
        if ticket is not None and not _page_may_open(socket, manners.origins):
            await socket.close(FORBIDDEN, "pages of this origin may not connect")
            return
        wanted = Wanted(task_id=task_id, tag=tag)
        try:
            if ticket is None:
                admission = await admitting.with_key(socket.headers.get(API_KEY.model.name), wanted)
            else:
                admission = await admitting.with_ticket(ticket, None if wanted == Wanted() else wanted)
            after = position_of(last_event_id)
            with watching.place(admission.scope.project_id):
                items = while_admitted(admitting, admission, watching.watch(admission.scope, after))
                await _talk(socket, items, manners)
        except Unauthenticated as error:
            await socket.close(UNAUTHENTICATED, error.detail)
        except (NotFound, InvalidRequest) as error:
            await socket.close(NOT_FOUND, error.detail)
        except LimitReached as error:
            await socket.close(LIMIT_REACHED, error.detail)
        except RetryableError:
            await socket.close(TRY_AGAIN, "not now; come back")

    return router


def _page_may_open(socket: WebSocket, origins: Sequence[str]) -> bool:
    return page_may_open(socket.headers.get("origin"), socket.headers.get("host"), origins)


async def _talk(socket: WebSocket, items: AsyncGenerator[Item], manners: Manners) -> None:
    """Until the client goes, falls behind, takes nothing any more or says too much."""
    both = {asyncio.create_task(_send_all(socket, items, manners)), asyncio.create_task(_hear(socket, manners))}
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    if close := done.pop().result():
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(manners.send_within.total_seconds()):
                await socket.close(*close)


async def _send_all(socket: WebSocket, items: AsyncGenerator[Item], manners: Manners) -> Close | None:
    try:
        async with aclosing(items):
            async for item in items:
                async with asyncio.timeout(manners.send_within.total_seconds()):
                    await socket.send_text(_message(item))
    except TimeoutError:
        log.info("a live watcher takes nothing and is dropped")
        return GONE
    except WebSocketDisconnect:
        return GONE
    return TRY_AGAIN, "fallen behind; come back with last_event_id"


async def _hear(socket: WebSocket, manners: Manners) -> Close | None:
    allowance = Allowance(HEARD_A_MINUTE)
    while (await socket.receive())["type"] != "websocket.disconnect":
        if not allowance.spend(manners.clock.now()):
            return TOO_MUCH, "nothing that is said here is heeded, and this is too much of it"
    return GONE


def _message(item: Item) -> str:
    return f'{{"id":{json.dumps(item.position)},"type":{json.dumps(item.type)},"data":{item.text}}}'
