"""A webhook receiver as a user would write one: it believes nothing that is not signed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from chassis.server import GuestServer
from contracts.views import API
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedded.processes import free_ports


@asynccontextmanager
async def receiver(http: httpx.AsyncClient, tell: Callable[[Mapping[str, Any]], None]) -> AsyncIterator[None]:
    """Registers an endpoint on this machine, tells the data of every genuine webhook, and takes it back at the end."""
    [port] = free_ports(1)
    secret = ""

    async def receive(request: Request) -> Response:
        try:
            told = Webhook(secret).verify(await request.body(), dict(request.headers))
        except WebhookVerificationError:
            return Response(status_code=401)
        tell(told["data"])
        return Response(status_code=204)

    app = Starlette(routes=[Route("/webhook", receive, methods=["POST"])])
    server = GuestServer(uvicorn.Config(app, port=port, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    made = await http.post(f"{API}/webhooks", json={"url": f"http://127.0.0.1:{port}/webhook"})
    made.raise_for_status()
    secret = made.json()["secret"]
    try:
        yield
    finally:
        await http.delete(f"{API}/webhooks/{made.json()['endpoint']['id']}")
        server.should_exit = True
        await serving
