"""A Payload with its admin panel beside an embedded platform, as its administrator sets it up."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.clients import Access

APP = Path(__file__).parents[2] / "services" / "payloadcms" / "dev" / "admin"
PASSWORD = "a-password-for-tests"
ADMIN = "admin@example.com"
PATIENCE_SECONDS = 60


@dataclass
class Studio:
    """The process, and its REST API as the admin uses it."""

    access: Access
    port: int
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None
    _projects: dict[int, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert (APP / ".next" / "BUILD_ID").exists(), "the admin panel is not built: make payload-admin-build"
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "ADMIN_EMAIL": ADMIN,
            "ADMIN_PASSWORD": PASSWORD,
            "DATABASE_URI": f"file:{self.folder / 'payload.db'}",
            "MEDIA_DIR": str(self.folder / "media"),
            "MOVIE_TASKS_URL": self.access.api,
            "DAPR_HTTP_ENDPOINT": self.access.dapr,
            "DAPR_API_TOKEN": self.access.dapr_api_token,
            "PAYLOAD_URL": self.url,
            "PAYLOAD_SECRET": "a-secret-for-tests",
            "NEXT_TELEMETRY_DISABLED": "1",
        }
        with (self.folder / "studio.log").open("ab") as log:
            # Ends with its whole group: next starts processes of its own.
            prepare = ["node", "--import", "tsx", "prepare.ts"]
            subprocess.run(prepare, cwd=APP, env=environment, stdout=log, stderr=log, check=True, timeout=120)
            self.process = subprocess.Popen(
                ["node", "node_modules/next/dist/bin/next", "start", "-H", "127.0.0.1", "-p", str(self.port)],
                cwd=APP,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._until_it_answers()

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, self.log[-5000:]
            try:
                if httpx.get(f"{self.url}/api/users/me", timeout=30, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        raise AssertionError(f"the admin panel did not come up:\n{self.log[-5000:]}")

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(30)

    @property
    def log(self) -> str:
        return (self.folder / "studio.log").read_text(errors="replace")

    def client(self, email: str = ADMIN) -> httpx.Client:
        """The REST API as a user of this Payload."""
        with httpx.Client(base_url=f"{self.url}/api", timeout=60, trust_env=False) as http:
            answer = http.post("/users/login", json={"email": email, "password": PASSWORD})
        token = _good(answer)["token"]
        headers = {"Authorization": f"JWT {token}"}
        return httpx.Client(base_url=f"{self.url}/api", timeout=60, trust_env=False, headers=headers)

    def add_project(self, project_id: str, name: str, *members: str) -> int:
        """A new project of the platform, connected to this Payload, with editors who are members of it."""
        headers = {"X-Admin-Key": self.access.admin_key}
        with httpx.Client(
            base_url=f"{self.access.api}/api/v1/admin", headers=headers, timeout=60, trust_env=False
        ) as at:
            _good(at.post("/projects", json={"id": project_id, "name": project_id}))
            key = _good(at.post(f"/projects/{project_id}/keys", json={}))["key"]
        with self.client() as http:
            users = [_good(http.post("/users", json={"email": email, "password": PASSWORD})) for email in members]
            project: Mapping[str, Any] = {
                "name": name,
                "serviceProject": project_id,
                "apiKey": key,
                "members": [user["doc"]["id"] for user in users],
            }
            made: int = _good(http.post("/projects", json=project))["doc"]["id"]
            self._until_connected(http, made)
        self._projects[made] = project_id
        return made

    def service_project(self, project: int) -> str:
        """What the platform calls a project of this Payload."""
        return self._projects[project]

    def _until_connected(self, http: httpx.Client, project: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            connection = _good(http.get(f"/projects/{project}?depth=0"))["connection"]
            if connection["state"] == "connected":
                return
            time.sleep(0.2)
        raise AssertionError(f"the project is {connection}")

    def ask(self, http: httpx.Client, project: int, model: str = "tiny-image", **request: Any) -> int:
        """A task's document, made without the panel."""
        body = {"project": project, "model": model, "prompt": "a red circle", **request}
        made: int = _good(http.post("/media-tasks", json=body))["doc"]["id"]
        return made

    def read(self, http: httpx.Client, task: int) -> dict[str, Any]:
        return _good(http.get(f"/media-tasks/{task}?depth=0"))

    def status(self, http: httpx.Client, task: int) -> str:
        return str(self.read(http, task)["status"])

    def until(self, http: httpx.Client, task: int, *statuses: str) -> dict[str, Any]:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            found = self.read(http, task)
            if found["status"] in statuses:
                return found
            time.sleep(0.2)
        raise AssertionError(f"the task is {found['status']}: {found['error']}")


def _good(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, f"{answer.status_code} {answer.text}"
    body: dict[str, Any] = answer.json()
    return body
