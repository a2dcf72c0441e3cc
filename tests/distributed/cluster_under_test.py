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

import asyncpg
import httpx
from cluster.plan import STATE
from cluster.running import Cluster, cluster
from cluster.settings import ClusterSettings
from contracts.topics import SERVICES, App
from create_topics import client_settings

from tests.clients import ENDED, Access, ProjectClient, Receiver, a_project
from tests.distributed.launcher import RUNS

SETTLED_WITHIN_SECONDS = 60
LOGS = Path(".movie-tasks/test-logs")
"""Where the logs of a cluster lie when it is gone."""
RESULTS = "SELECT key FROM dapr_state WHERE key LIKE 'tasks||media:%' AND encode(value, 'escape') LIKE $1"
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
}


@dataclass
class ClusterUnderTest:
    running: Cluster
    folder: Path

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

    async def rows(self, database: str, query: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.running.plan.database_url(database))
        try:
            found: list[asyncpg.Record] = await connection.fetch(query, *values)
            return found
        finally:
            await connection.close()

    async def check_done_once(
        self, project: ProjectClient, task_id: str, hooks: Receiver, attempts: range = range(1, 2)
    ) -> None:
        """The task is done, with one result, one end in its history and one notification."""
        task = await project.wait(task_id)
        assert task["status"] == "done", task["error"]
        assert task["attempt"] in attempts, await project.history(task_id)
        await self._until(lambda: _heard_of(hooks, task_id), "no webhook came")
        file = await project.http.get(task["result"]["url"])
        assert len(file.content) == task["result"]["size"]
        media = await self.rows(STATE, RESULTS, f"%{task_id}%")
        assert len(media) == 1, "more than one result"
        assert await self._endings(project, task_id) == ["task.done.v1"]
        ids = {
            hook_id for hook_id, told in zip(hooks.ids, hooks.received, strict=True) if told["data"]["id"] == task_id
        }
        assert len(ids) == 1, "told of one end under several ids"

    async def _endings(self, project: ProjectClient, task_id: str) -> list[str]:
        """What the history says of the task's end, once it has heard of it."""
        async with asyncio.timeout(SETTLED_WITHIN_SECONDS):
            while True:
                told = [entry["type"] for entry in await project.history(task_id)]
                if ends := [one for one in told if one.split(".")[1] in ENDED]:
                    return ends
                await asyncio.sleep(0.1)

    async def check_at_rest(self) -> None:
        """Nothing is left of all the tasks but their results."""
        left: list[str] = ["not looked yet"]
        try:
            async with asyncio.timeout(SETTLED_WITHIN_SECONDS):
                while left := await self._left():
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise AssertionError(f"left behind: {left}") from None

    async def _left(self) -> list[str]:
        # What has ended stays in the queue for a while, not looked at.
        tables = (("scheduling", "queue WHERE look_at IS NOT NULL"), ("submission", "outbox"), ("storage", "ingests"))
        counts = {table: (await self.rows(db, f"SELECT count(*) FROM {table}"))[0][0] for db, table in tables}  # noqa: S608
        staged = [str(path) for path in (self.objects / "staging").rglob("*") if path.is_file()]
        return [f"{count} in {table}" for table, count in counts.items() if count] + staged

    async def letters(self) -> list[asyncpg.Record]:
        return await self.rows("submission", "SELECT app, topic, reason FROM dead_letters")

    async def _until(self, true: Any, otherwise: str, within: float = 60) -> None:
        try:
            async with asyncio.timeout(within):
                while not true():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(otherwise) from None


async def _take_work(http: httpx.AsyncClient, number: int) -> bool:
    answer = await http.get("/api/v1/health")
    return answer.is_success and answer.json()["workers_ready"].get("image", 0) >= number


def _heard_of(hooks: Receiver, task_id: str) -> bool:
    return any(told["data"]["id"] == task_id for told in hooks.received)


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
        "models": ("tiny-image",),
        "launcher": ("tests.distributed.launcher",),
    }
    return cluster_under_test(**options | changes)
