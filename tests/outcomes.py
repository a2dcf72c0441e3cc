"""What must have come of a task, whatever happened while it was at work."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import asyncpg
from cluster.plan import BUCKET, STATE, Plan

from tests.clients import ENDED, ProjectClient, Receiver

SETTLED_WITHIN_SECONDS = 60
RESULTS = "SELECT key FROM dapr_state WHERE key LIKE 'tasks||media:%' AND encode(value, 'escape') LIKE $1"


class Outcomes(ABC):
    """Of a platform whose databases and objects can be looked into."""

    @property
    @abstractmethod
    def plan(self) -> Plan: ...

    async def rows(self, database: str, query: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.plan.database_url(database))
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
        staged = [str(path) for path in (self.plan.data / "objects" / BUCKET / "staging").rglob("*") if path.is_file()]
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


def _heard_of(hooks: Receiver, task_id: str) -> bool:
    return any(told["data"]["id"] == task_id for told in hooks.received)
