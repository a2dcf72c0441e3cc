"""What happens around every request: who may call, how much they may send, and a line in the log."""

import hmac
import time
from collections.abc import Callable

import structlog
from contracts.errors import PayloadTooLarge, Unauthenticated
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.problems import problem_response

log = structlog.get_logger("chassis.requests")


class SidecarOnly:
    """Lets nobody but this process's own daprd call the paths that are meant for it."""

    PATHS = ("/dapr/", "/events/", "/job/")

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(self.PATHS):
            presented = dict(scope["headers"]).get(b"dapr-api-token", b"")
            if not hmac.compare_digest(presented, self._token.encode()):
                problem = Unauthenticated("only this service's own sidecar may call this").problem()
                await problem_response(problem, 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses a body larger than `limit(path)` bytes, whatever its Content-Length claims."""

    def __init__(self, app: ASGIApp, limit: Callable[[str], int]) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, seen = self._limit(scope["path"]), 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise PayloadTooLarge(f"a body here may hold {limit} bytes")
            return message

        claimed = dict(scope["headers"]).get(b"content-length", b"0")
        if claimed.isdigit() and int(claimed) > limit:
            error = PayloadTooLarge(f"a body here may hold {limit} bytes; this one claims {int(claimed)}")
            await problem_response(error.problem(), 413)(scope, receive, send)
            return
        await self._app(scope, counted, send)


class RequestLog:
    """One line per request. The query is left out: it may hold a key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round((time.perf_counter() - started) * 1000, 1),
            )
