"""The distributed platform as a test breaks it, and what must hold of it whatever was broken."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cluster.plan import Plan
from cluster.running import Cluster, cluster
from cluster.settings import ClusterSettings
from contracts.topics import SERVICES, App
from create_topics import client_settings

from tests.clients import Access, ProjectClient, a_project
from tests.distributed.launcher import RUNS
from tests.outcomes import Outcomes

LOGS = Path(".movie-tasks/test-logs")
"""Where the logs of a cluster lie when it is gone."""
REMINDER_LATE_AFTER_SECONDS = 5
# Short enough to watch a worker being given up, long enough for a slow machine to be heard in time.
SETTINGS = {
    "lease": "6",
    "start_within": "6",
    "worker_heartbeat": "1",
    "worker_grace": "3",
    "first_retry": "0.2",
    "storage_keep_staging": "15",
    "storage_hold": "6",
    "webhook_timeout": "5",
    "reminder_late_after": str(REMINDER_LATE_AFTER_SECONDS),
}


@dataclass
class ClusterUnderTest(Outcomes):
    running: Cluster
    folder: Path

    @property
    def plan(self) -> Plan:
        return self.running.plan

    @property
    def access(self) -> Access:
        secrets, units = self.running.plan.secrets, self.running.supervisor.kept
        sidecar = units["payloadcms-daprd"].unit.address
        return Access(self.running.api, sidecar, secrets.admin_key, secrets.tokens[App.PAYLOADCMS].dapr)

    def project(self, project_id: str | None = None) -> AbstractAsyncContextManager[ProjectClient]:
        return a_project(self.access, project_id)

    @property
    def objects(self) -> Path:
        """What the S3 server serves, as a folder."""
        return self.folder / "objects" / "movie-tasks"

    def units(self, app: App, *, sidecars: bool) -> list[str]:
        """Names of an app's processes, or of its sidecars."""
        names = [name for name in self.running.supervisor.kept if name.startswith(f"{app.value}-")]
        return [name for name in names if name.endswith("-daprd") == sidecars]

    def broker_settings(self) -> dict[str, Any]:
        """For a Kafka client that may do everything."""
        return client_settings(self.running.plan.broker_environment())

    async def until_ready(self) -> None:
        """Until every unit runs, every service says that it can do its work, and the workers take some."""
        units = self.running.supervisor.kept
        names = [name for app in SERVICES for name in self.units(app, sidecars=False)]
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(90):
            while {kept.state for kept in units.values()} != {"ready"}:
                await asyncio.sleep(0.1)
            for name in names:
                while not (await http.get(f"{units[name].unit.address}/readyz")).is_success:
                    await asyncio.sleep(0.1)
        await self.until_workers_are_ready()

    async def until_workers_are_ready(self) -> None:
        async with httpx.AsyncClient(base_url=self.running.api) as http, asyncio.timeout(60):
            while not await _take_work(http, self.running.plan.settings.image_workers):
                await asyncio.sleep(0.2)

    def runs(self, task_id: str) -> list[dict[str, Any]]:
        """What engines have run of the task and come to the end of, by their own clocks."""
        path = self.folder / "runs.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [run for run in map(json.loads, lines) if run["task_id"] == task_id]


async def _take_work(http: httpx.AsyncClient, number: int) -> bool:
    answer = await http.get("/api/v1/health")
    return answer.is_success and answer.json()["workers_ready"].get("image", 0) >= number


@contextmanager
def cluster_under_test(**changes: Any) -> Iterator[ClusterUnderTest]:
    """In a folder that Postgres, which runs as a user of its own, can get to; pytest's own are for one user only."""
    with tempfile.TemporaryDirectory(prefix="movie-tasks-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        os.environ[RUNS] = str(folder / "runs.jsonl")
        options = {"data": folder, "services": SETTINGS, **changes}
        try:
            with cluster(ClusterSettings(**options)) as running:
                yield ClusterUnderTest(running, folder)
        finally:
            shutil.copytree(folder / "logs", LOGS / folder.name, dirs_exist_ok=True)


def scripted(**changes: Any) -> AbstractContextManager[ClusterUnderTest]:
    """Two replicas of everything, and two image workers whose engine does what the prompt says."""
    options = {
        "replicas": 2,
        "image_workers": 2,
        "video_workers": 0,
        "audio_workers": 0,
        "models": ("tiny-image", "tiny-image-edit"),
        "launcher": ("tests.distributed.launcher",),
    }
    return cluster_under_test(**options | changes)
