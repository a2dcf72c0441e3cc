"""What happens around every request: who may call, how much they may send, and a line in the log."""

import hmac
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from contracts.errors import PayloadTooLarge, Unauthenticated
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.problems import problem_response

log = structlog.get_logger("chassis.requests")

Receiver = Callable[[bytes], Awaitable[str]]
"""Takes a delivery's body and says what daprd shall be answered."""


class SidecarOnly:
    """Lets nobody but this process's own daprd call the paths that are meant for it."""

    PATHS = ("/dapr/", "/events/", "/job/")

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        meant = scope["type"] == "http" and scope["path"].startswith(self.PATHS)
        if meant and not shows_token(dict(scope["headers"]), self._token):
            problem = Unauthenticated("only this service's own sidecar may call this").problem()
            await problem_response(problem, 401)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def shows_token(headers: Mapping[bytes, bytes], token: str) -> bool:
    """Whether a request comes from this process's own daprd."""
    return hmac.compare_digest(headers.get(b"dapr-api-token", b""), token.encode())


class DeliveriesFirst:
    """Answers daprd's deliveries before anything of the framework runs: they are most of what a service is asked, and
    routing, limits and logging made for people's requests cost more than the handling. Whatever is not plainly
    a delivery by this process's own daprd goes the framework's way, which says what is wrong with it."""

    def __init__(self, app: ASGIApp, receivers: Mapping[str, Receiver], token: str, largest_body: int) -> None:
        self._app = app
        self._receivers = receivers
        self._token = token
        self._largest_body = largest_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        receiver = self._receivers.get(scope["path"]) if scope["type"] == "http" else None
        if receiver is None or not self._is_delivery(scope):
            await self._app(scope, receive, send)
            return
        body = await _whole_body(receive)
        if body is None:
            return
        answer = b'{"status":"%s"}' % (await receiver(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _is_delivery(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        small = length.isdigit() and int(length) <= self._largest_body
        return scope["method"] == "POST" and small and shows_token(headers, self._token)


async def _whole_body(receive: Receive) -> bytes | None:
    """None when the sender has gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


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
