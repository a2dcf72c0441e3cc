"""A real Payload without its admin panel, started from the plugin's own folder, and a person who uses it."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from embedded.processes import free_ports

from tests.clients import Access

FOLDER = Path(__file__).parents[2] / "services" / "payloadcms"
PASSWORD = "a-password-for-tests"
UP_WITHIN_SECONDS = 90
ENDED = ("done", "failed", "cancelled", "expired", "rejected", "unpublished")

Document = dict[str, Any]


@dataclass
class PayloadServer:
    """`access` says where the service and the sidecar are reached; a test may put a door in between."""

    folder: Path
    access: Access
    database: str = ""
    reached_at: str = ""
    """Where webhooks go, should that be another replica."""
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "payload.log").read_text(errors="replace")

    def start(self) -> None:
        node = shutil.which("node")
        assert node, "node is not installed"
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "PORT": str(self.port),
            "DATABASE_URI": self.database or f"file:{self.folder}/payload.db",
            "MEDIA_DIR": f"{self.folder}/media",
            "MOVIE_TASKS_URL": self.access.api,
            "DAPR_HTTP_ENDPOINT": self.access.dapr,
            "DAPR_API_TOKEN": self.access.dapr_api_token,
            "PAYLOAD_URL": self.reached_at or self.url,
            # Nobody waits five minutes in a test for what was lost.
            "SILENT_MINUTES": "0.05",
            "RECONCILE_CRON": "*/2 * * * * *",
            "NODE_ENV": "test",
        }
        with (self.folder / "payload.log").open("ab") as log:
            command = [node, "--import", "tsx", "dev/server.ts"]
            self.process = subprocess.Popen(command, cwd=FOLDER, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + UP_WITHIN_SECONDS
        while not _answers(f"{self.url}/healthz"):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log[-5000:]
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).is_success
    except httpx.TransportError:
        return False


@dataclass(frozen=True)
class Editor:
    """Somebody with a login, by the REST API as the admin panel uses it."""

    http: httpx.AsyncClient

    async def call(self, method: str, path: str, **options: Any) -> Document:
        params = {"depth": 0, **options.pop("params", {})}
        answer = await self.http.request(method, f"/api{path}", params=params, **options)
        assert answer.is_success, answer.text
        found: Document = answer.json()
        return found

    async def log_in(self) -> None:
        """Whoever comes first is registered as an admin."""
        who = {"email": "editor@example.com", "password": PASSWORD}
        first = not (await self.call("GET", "/users/init"))["initialized"]
        answer = await self.call("POST", "/users/first-register" if first else "/users/login", json=who)
        self.http.headers["Authorization"] = f"JWT {answer['token']}"

    async def connect(self, service_project: str, key: str) -> Document:
        """A project that is connected."""
        new = {"name": service_project, "serviceProject": service_project, "apiKey": key}
        project: Document = (await self.call("POST", "/projects", json=new))["doc"]
        return await self.until("projects", project["id"], lambda found: found["connection"]["state"] == "connected")

    async def ask(self, project: Document, **fields: Any) -> Document:
        made = await self.call("POST", "/media-tasks", json=request(project, **fields))
        document: Document = made["doc"]
        return document

    async def until(
        self, collection: str, name: int, fits: Callable[[Document], bool], within: float = 120
    ) -> Document:
        found: Document = {}
        try:
            async with asyncio.timeout(within):
                while not fits(found := await self.call("GET", f"/{collection}/{name}")):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"did not come to it: {json.dumps(found, indent=2)}") from None
        return found

    async def ended(self, task: Document) -> Document:
        return await self.until("media-tasks", task["id"], lambda found: found["status"] in ENDED)

    async def done(self, task: Document) -> Document:
        ended = await self.ended(task)
        assert ended["status"] == "done", ended["error"]
        return ended

    async def result(self, task: Document) -> bytes:
        """The file, as a browser gets it: by the document's address and where that leads to, with no key."""
        answer = await self.http.get(f"/api/media-tasks/{task['id']}/result")
        assert answer.status_code == 302, answer.text
        async with httpx.AsyncClient() as browser:
            file = await browser.get(answer.headers["location"])
        assert file.status_code == 200, file.text
        return file.content


def request(project: Document, **fields: Any) -> Document:
    return {
        "project": project["id"],
        "model": "tiny-image",
        "prompt": "a red circle",
        "params": {"steps": 2, "seed": 1},
        **fields,
    }
