"""The embedded platform as a test drives it: started, asked, killed and started again from outside."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from embedded.address import Address, read_address
from embedded.credentials import Credentials, load_or_create

from tests.clients import Access, ProjectClient, a_project

SETTINGS = {
    # Short enough to watch a worker being given up, long enough for a slow machine to be heard in time.
    "MOVIE_TASKS_LEASE": "4",
    "MOVIE_TASKS_START_WITHIN": "4",
    "MOVIE_TASKS_WORKER_HEARTBEAT": "1",
    "MOVIE_TASKS_FIRST_RETRY": "0.2",
    "MOVIE_TASKS_REMINDER_LATE_AFTER": "5",
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

    @property
    def access(self) -> Access:
        address, credentials = self.address, self.credentials
        return Access(address.api, address.dapr, credentials.admin_key, credentials.dapr_api_token)

    def project(self, project_id: str | None = None) -> AbstractAsyncContextManager[ProjectClient]:
        return a_project(self.access, project_id)


def _workers_are_ready(address: Address) -> bool:
    with contextlib.suppress(httpx.TransportError):
        ready = httpx.get(f"{address.api}/api/v1/health", trust_env=False).json()["workers_ready"]
        return len(ready) == 3
    return False


def send_signal(process: psutil.Process, number: signal.Signals) -> None:
    process.send_signal(number)
