"""The embedded platform as a test drives it: started, asked, killed and started again from outside."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvicorn
from chassis.server import GuestServer
from embedded.address import Address, read_address
from embedded.credentials import Credentials, load_or_create
from embedded.processes import free_ports
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ENDED = ("done", "failed", "cancelled", "expired")
SETTINGS = {
    # Short enough to watch a worker being given up, long enough for a slow machine to be heard in time.
    "MOVIE_TASKS_LEASE": "4",
    "MOVIE_TASKS_START_WITHIN": "4",
    "MOVIE_TASKS_WORKER_HEARTBEAT": "1",
    "MOVIE_TASKS_FIRST_RETRY": "0.2",
}


@dataclass
class Platform:
    data: Path
    command: Sequence[str] = (sys.executable, "-m", "embedded", "serve")
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> Address:
        address = read_address(self.data)
        assert address is not None, "the platform is not running"
        return address

    @property
    def credentials(self) -> Credentials:
        return load_or_create(self.data)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        (self.data / "logs").mkdir(parents=True, exist_ok=True)
        # What a killed process has left behind must not be taken for the new one's.
        (self.data / "address.json").unlink(missing_ok=True)
        environment = {**os.environ, **self.settings, "MOVIE_TASKS_DATA": str(self.data)}
        with (self.data / "logs" / "platform.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            address = read_address(self.data)
            if address is not None and _workers_are_ready(address):
                return
            assert self.process.poll() is None, self.log[-5000:]
            time.sleep(0.1)
        raise AssertionError(f"the platform did not come up:\n{self.log[-5000:]}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL, as a crash or the kernel's out-of-memory killer would; daprd and the scheduler die with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return (self.data / "logs" / "platform.log").read_text(errors="replace")

    def engines(self) -> list[psutil.Process]:
        """The engine children: the fork server's own children."""
        everybody = psutil.Process(self.pid).children(recursive=True)
        return [child for child in everybody if child.parent() and child.parent().ppid() == self.pid]

    @asynccontextmanager
    async def project(self, project_id: str | None = None) -> AsyncIterator["ProjectClient"]:
        """A new project, and a client with a key of it."""
        project_id = project_id or f"p-{secrets.token_hex(4)}"
        async with httpx.AsyncClient(base_url=self.address.api, timeout=30, trust_env=False) as http:
            client = ProjectClient(self, http, project_id)
            await client.admin("POST", "/projects", json={"id": project_id, "name": project_id})
            issued = await client.admin("POST", f"/projects/{project_id}/keys", json={})
            http.headers["X-API-Key"] = issued.json()["key"]
            yield client


def _workers_are_ready(address: Address) -> bool:
    with contextlib.suppress(httpx.TransportError):
        ready = httpx.get(f"{address.api}/api/v1/health", trust_env=False).json()["workers_ready"]
        return len(ready) == 3
    return False


@dataclass
class ProjectClient:
    platform: Platform
    http: httpx.AsyncClient
    id: str

    @property
    def key(self) -> str:
        return self.http.headers["X-API-Key"]

    async def admin(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"X-Admin-Key": self.platform.credentials.admin_key}
        return await self.http.request(method, f"/api/v1/admin{path}", headers=headers, **options)

    async def submit(self, model: str = "tiny-image", *, key: str | None = None, **request: Any) -> dict[str, Any]:
        params = {"prompt": "a red circle"} | request.pop("params", {})
        headers = {"Idempotency-Key": key} if key else {}
        body = {"model": model, "params": params, **request}
        answer = await self.http.post("/api/v1/tasks/submit", json=body, headers=headers)
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
            f"{self.platform.address.dapr}/v1.0/publish/{component}/{topic}",
            content=body,
            headers={"Content-Type": content_type, "dapr-api-token": self.platform.credentials.dapr_api_token},
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
    answers: list[int] = field(default_factory=list)
    """Statuses for the next calls; 204 when they are used up."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, request: Request) -> Response:
        told = Webhook(self.secret).verify(await request.body(), dict(request.headers))
        self.received.append(told)
        self.ids.append(request.headers["webhook-id"])
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
async def receiver(client: ProjectClient, events: list[str] | None = None) -> AsyncIterator[Receiver]:
    """A receiver that is registered with the project."""
    [port] = free_ports(1)
    found = Receiver(f"http://127.0.0.1:{port}/webhook")
    app = Starlette(routes=[Route("/webhook", found.receive, methods=["POST"])])
    server = GuestServer(uvicorn.Config(app, port=port, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    made = await client.http.post("/api/v1/webhooks", json={"url": found.url} | ({"events": events} if events else {}))
    assert made.status_code == 201, made.text
    found.secret = made.json()["secret"]
    try:
        yield found
    finally:
        server.should_exit = True
        await serving


def send_signal(process: psutil.Process, number: signal.Signals) -> None:
    process.send_signal(number)
