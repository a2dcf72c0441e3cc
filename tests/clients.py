"""A running platform as its users meet it: a content system, a person with a key, a webhook receiver."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from chassis.server import GuestServer
from embedded.processes import free_ports
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PATIENCE_SECONDS = 60
ENDED = ("done", "failed", "cancelled", "expired")


@dataclass(frozen=True)
class Access:
    """Where a platform is, and what opens it."""

    api: str
    dapr: str
    """The sidecar that a content system publishes through."""
    admin_key: str
    dapr_api_token: str


SETTING_UP = ("/api/v1/admin/", "/api/v1/webhooks")
"""What a test begins with: one that begins while a service is still finding its sidecar again is not about that."""


class Patient(httpx.AsyncHTTPTransport):
    """Asks again for what can be asked twice, while a service is away: as clients are told to by `Retry-After`."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        repeatable = request.method == "GET" or request.url.path.startswith(SETTING_UP)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                answer = await super().handle_async_request(request)
                if not repeatable or answer.status_code not in (502, 503):
                    return answer
                await answer.aclose()
                await asyncio.sleep(0.1)


@asynccontextmanager
async def a_project(access: Access, project_id: str | None = None) -> AsyncIterator["ProjectClient"]:
    """A new project, and a client with a key of it."""
    project_id = project_id or f"p-{secrets.token_hex(4)}"
    async with httpx.AsyncClient(base_url=access.api, timeout=30, transport=Patient()) as http:
        client = ProjectClient(access, http, project_id)
        await client.admin("POST", "/projects", json={"id": project_id, "name": project_id})
        issued = await client.admin("POST", f"/projects/{project_id}/keys", json={})
        http.headers["X-API-Key"] = issued.json()["key"]
        yield client


@dataclass
class ProjectClient:
    access: Access
    http: httpx.AsyncClient
    id: str

    @property
    def key(self) -> str:
        return self.http.headers["X-API-Key"]

    async def admin(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"X-Admin-Key": self.access.admin_key}
        return await self.http.request(method, f"/api/v1/admin{path}", headers=headers, **options)

    async def submit(self, model: str = "tiny-image", *, key: str | None = None, **request: Any) -> dict[str, Any]:
        params = {"prompt": "a red circle"} | request.pop("params", {})
        headers = {"Idempotency-Key": key} if key else {}
        body = {"model": model, "params": params, **request}
        answer = await self.http.post("/api/v1/tasks/submit", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def replay(self, task_id: str, *, key: str | None = None) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self.http.post(f"/api/v1/tasks/{task_id}/replay", headers=headers)
        assert answer.status_code == 202, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def status(self, task_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/api/v1/tasks/{task_id}/status")
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def wait(self, task_id: str, *until: str, within: float = 180) -> dict[str, Any]:
        """The task once its status or its phase is one of `until`, or once it has ended."""
        async with asyncio.timeout(within):
            while True:
                task = await self.status(task_id)
                if task["status"] in (until or ENDED) or task["phase"] in until:
                    return task
                assert task["status"] not in ENDED, f"ended as {task['status']}: {task['error']}"
                await asyncio.sleep(0.02)

    async def make(self, model: str = "tiny-image", **request: Any) -> dict[str, Any]:
        """A task that was done."""
        task = await self.wait((await self.submit(model, **request))["id"])
        assert task["status"] == "done", task["error"]
        return task

    async def history(self, task_id: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.http.get(f"/api/v1/tasks/{task_id}/history")).json()
        return entries

    async def tasks(self, **query: Any) -> list[dict[str, Any]]:
        page = (await self.http.get(f"/api/v1/projects/{self.id}/tasks", params=query)).json()
        items: list[dict[str, Any]] = page["items"]
        return items

    async def publish(self, event_id: str, **data: Any) -> None:
        """A task request as PayloadCMS publishes it."""
        request = {"project_id": self.id, "model": "tiny-image", "params": {"prompt": "a red circle"}} | data
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": "/payload",
            "type": "task.requested.v1",
            "datacontenttype": "application/json",
            "data": request,
        }
        await self.publish_raw("task-requests", json.dumps(event).encode())

    async def publish_raw(
        self, topic: str, body: bytes, content_type: str = "application/cloudevents+json", component: str = "events"
    ) -> int:
        answer = await self.http.post(
            f"{self.access.dapr}/v1.0/publish/{component}/{topic}",
            content=body,
            headers={"Content-Type": content_type, "dapr-api-token": self.access.dapr_api_token},
        )
        return answer.status_code

    async def dead_letters(self) -> list[dict[str, Any]]:
        letters: list[dict[str, Any]] = (await self.admin("GET", "/dead-letters")).json()
        return letters


@dataclass
class Receiver:
    """A webhook receiver that believes nothing unsigned and answers as the test wants."""

    url: str = ""
    secret: str = ""
    received: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    traceparents: list[str | None] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Statuses for the next calls; 204 when they are used up."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, request: Request) -> Response:
        told = Webhook(self.secret).verify(await request.body(), dict(request.headers))
        self.received.append(told)
        self.ids.append(request.headers["webhook-id"])
        self.traceparents.append(request.headers.get("traceparent"))
        self.arrived.set()
        return Response(status_code=self.answers.pop(0) if self.answers else 204)

    async def wait_for(self, count: int, within: float = 60) -> None:
        async with asyncio.timeout(within):
            while len(self.received) < count:
                self.arrived.clear()
                await self.arrived.wait()

    @property
    def types(self) -> list[str]:
        return [told["type"] for told in self.received]


@asynccontextmanager
async def receiver(
    client: ProjectClient, events: list[str] | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Receiver]:
    """A receiver that is registered with the project."""
    [port] = free_ports(1)
    found = Receiver(f"http://{host}:{port}/webhook")
    app = Starlette(routes=[Route("/webhook", found.receive, methods=["POST"])])
    server = GuestServer(uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    made = await client.http.post("/api/v1/webhooks", json={"url": found.url} | ({"events": events} if events else {}))
    assert made.status_code == 201, made.text
    found.secret = made.json()["secret"]
    try:
        yield found
    finally:
        server.should_exit = True
        await serving
