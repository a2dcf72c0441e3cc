"""Reminders whose moment comes while somebody who is needed is away: told once, and marked when they are late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from contracts.topics import App
from scheduling.handlers.reminding import HEARD_WITHIN

from tests.clients import ProjectClient, Receiver
from tests.distributed.cluster_under_test import REMINDER_LATE_AFTER_SECONDS, ClusterUnderTest

FAR = timedelta(days=30)
KEPT = "SELECT due FROM reminders WHERE task_id = $1"


@dataclass
class Planned:
    """A task far ahead, with one reminder."""

    moment: datetime
    task_id: str
    hooks: Receiver

    async def over(self, seconds: float = 0) -> None:
        """Waits until the moment has come, so many seconds ago."""
        await asyncio.sleep((self.moment - datetime.now(UTC)).total_seconds() + seconds)

    async def told_once(self, within: float = 90) -> dict[str, Any]:
        async with asyncio.timeout(within):
            while not self.told:
                await asyncio.sleep(0.05)
        # For a second time that must not come.
        await asyncio.sleep(HEARD_WITHIN.total_seconds() + 3)
        [told] = self.told
        assert datetime.fromisoformat(told["data"]["at"]) == self.moment
        data: dict[str, Any] = told["data"]
        return data

    @property
    def told(self) -> list[dict[str, Any]]:
        """That the moment has come; the rest is about how tests end."""
        reminders = [told for told in self.hooks.received if told["type"] == "task.reminder.v1"]
        return [told for told in reminders if told["data"]["task_id"] == self.task_id]

    @property
    def late(self) -> float:
        return (datetime.fromisoformat(self.told[0]["timestamp"]) - self.moment).total_seconds()


@asynccontextmanager
async def planned(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver, seconds: float = 6
) -> AsyncIterator[Planned]:
    now = datetime.now(UTC)
    moment = now + timedelta(seconds=seconds)
    task = await project.submit(start_at=(now + FAR).isoformat(), reminders=[{"at": moment.isoformat()}])
    async with asyncio.timeout(seconds):
        while not await cluster.rows("scheduling", KEPT, task["id"]):
            await asyncio.sleep(0.05)
    yield Planned(moment, task["id"], hooks)
    assert (await project.http.delete(f"/api/v1/tasks/{task['id']}/cancel")).is_success
    async with asyncio.timeout(30):
        while await cluster.rows("scheduling", KEPT, task["id"]):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("app", [App.SCHEDULING, App.NOTIFICATION])
async def test_a_service_away_over_the_moment(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver, app: App
) -> None:
    supervisor, units = cluster.running.supervisor, cluster.units(app, sidecars=False)
    async with planned(cluster, project, hooks) as reminder:
        await asyncio.to_thread(supervisor.kill, *units, again=False)
        await reminder.over(seconds=REMINDER_LATE_AFTER_SECONDS + 1)
        await asyncio.to_thread(supervisor.start, *units)
        told = await reminder.told_once()
        assert told["late_seconds"] > REMINDER_LATE_AFTER_SECONDS


@pytest.mark.parametrize("app", [App.SCHEDULING, App.NOTIFICATION])
async def test_a_service_killed_at_the_moment(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver, app: App
) -> None:
    async with planned(cluster, project, hooks) as reminder:
        await reminder.over()
        await asyncio.to_thread(cluster.running.supervisor.kill, *cluster.units(app, sidecars=False))
        await reminder.told_once()
    await cluster.until_ready()


async def test_one_replica_of_scheduling_away_over_the_moment(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    """Whichever heard of the task, the other says it."""
    supervisor = cluster.running.supervisor
    for unit in cluster.units(App.SCHEDULING, sidecars=False):
        async with planned(cluster, project, hooks) as reminder:
            await asyncio.to_thread(supervisor.kill, unit, again=False)
            try:
                await reminder.told_once()
            finally:
                await asyncio.to_thread(supervisor.start, unit)
            assert reminder.late < 30


async def test_the_dapr_scheduler_away_over_the_moment(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    supervisor = cluster.running.supervisor
    async with planned(cluster, project, hooks) as reminder:
        await asyncio.to_thread(supervisor.kill, "scheduler", again=False)
        await reminder.over(seconds=REMINDER_LATE_AFTER_SECONDS + 1)
        await asyncio.to_thread(supervisor.start, "scheduler")
        assert (await reminder.told_once())["late_seconds"] is None


async def test_the_broker_away_over_the_moment(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    supervisor = cluster.running.supervisor
    async with planned(cluster, project, hooks) as reminder:
        await asyncio.to_thread(supervisor.kill, "broker", again=False)
        await reminder.over(seconds=REMINDER_LATE_AFTER_SECONDS + 1)
        await asyncio.to_thread(supervisor.start, "broker")
        assert (await reminder.told_once())["late_seconds"] > REMINDER_LATE_AFTER_SECONDS
    await cluster.until_ready()
