"""Services that start while what they need is wrong or away: they say what, wait, and come up by themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from confluent_kafka.admin import AdminClient
from contracts.topics import TASK_UPDATES, App
from create_topics import ensure_topics, wait_for
from httpx_sse import aconnect_sse

from tests.clients import ProjectClient, Receiver
from tests.distributed.cluster_under_test import ClusterUnderTest

ONE = "storage-1"
SIDECAR = "storage-1-daprd"


@asynccontextmanager
async def started_with(cluster: ClusterUnderTest, name: str, **wrong: str) -> AsyncIterator[None]:
    """The unit and its sidecar started anew, with something wrong; put right at the end."""
    supervisor = cluster.running.supervisor
    right = {key: supervisor.kept[name].unit.environment[key] for key in wrong}
    await asyncio.to_thread(supervisor.put_down, ONE, SIDECAR)
    supervisor.change(name, **wrong)
    supervisor.start_without_waiting(SIDECAR, ONE)
    try:
        yield
    finally:
        await asyncio.to_thread(supervisor.put_down, name)
        supervisor.change(name, **right)
        await asyncio.to_thread(supervisor.start, name)
        await ready(cluster, ONE)


async def ready(cluster: ClusterUnderTest, name: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(90):
        while not (await answer(http, cluster, name)).startswith('{"ready":true'):
            await asyncio.sleep(0.1)


async def answer(http: httpx.AsyncClient, cluster: ClusterUnderTest, name: str) -> str:
    try:
        return (await http.get(f"{cluster.running.supervisor.kept[name].unit.address}/readyz")).text
    except httpx.TransportError as error:
        return repr(error)


async def says(cluster: ClusterUnderTest, what: str, within: float = 40) -> None:
    """Until the service's `/readyz` names the fault; it must say not ready all the while."""
    said = ""
    try:
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(within):
            while what not in said:
                said = await answer(http, cluster, ONE)
                assert not said.startswith('{"ready":true'), said
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"never said {what!r}, but: {said}") from None


async def logged(log: Path, what: str, already: int, within: float = 40) -> None:
    try:
        async with asyncio.timeout(within):
            while what not in log.read_text(errors="replace")[already:]:
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(
            f"never logged {what!r}, but: {log.read_text(errors='replace')[already:][-3000:]}"
        ) from None


def log_of(cluster: ClusterUnderTest, name: str) -> tuple[Path, int]:
    log = cluster.running.supervisor.kept[name].log
    return log, log.stat().st_size


async def test_a_wrong_broker_address(cluster: ClusterUnderTest) -> None:
    log, already = log_of(cluster, SIDECAR)
    async with started_with(cluster, SIDECAR, MOVIE_TASKS_BROKERS="127.0.0.1:1"):
        await says(cluster, "Dapr sidecar")
        await logged(log, "127.0.0.1:1: connect: connection refused", already)


async def test_wrong_broker_credentials(cluster: ClusterUnderTest) -> None:
    log, already = log_of(cluster, SIDECAR)
    async with started_with(cluster, SIDECAR, MOVIE_TASKS_BROKER_PASSWORD="wrong"):
        await says(cluster, "Dapr sidecar")
        await logged(log, "SASL", already)


async def test_wrong_database_credentials(cluster: ClusterUnderTest) -> None:
    url = cluster.running.plan.database_url("storage")
    password = cluster.running.plan.secrets.database_passwords["storage"]
    async with started_with(cluster, ONE, MOVIE_TASKS_STORAGE_DATABASE=url.replace(password, "wrong")):
        await says(cluster, "password")


async def test_a_database_that_is_not_there(cluster: ClusterUnderTest) -> None:
    url = cluster.running.plan.database_url("storage")
    async with started_with(cluster, ONE, MOVIE_TASKS_STORAGE_DATABASE=f"{url}-gone"):
        await says(cluster, "storage-gone")


async def test_a_setting_that_is_wrong_ends_the_process_with_its_name(cluster: ClusterUnderTest) -> None:
    log, already = log_of(cluster, ONE)
    async with started_with(cluster, ONE, MOVIE_TASKS_STORAGE_HOLD="soon"):
        await logged(log, "storage_hold", already)


async def test_an_unreachable_scheduler_delays_no_task(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    supervisor = cluster.running.supervisor
    await asyncio.to_thread(supervisor.put_down, "scheduler")
    try:
        names = [*cluster.units(App.SCHEDULING, sidecars=True), *cluster.units(App.SCHEDULING, sidecars=False)]
        await asyncio.to_thread(supervisor.put_down, *names)
        await asyncio.to_thread(supervisor.start, *names)
        task = await project.submit(params={"steps": 1})
        await cluster.check_done_once(project, task["id"], hooks)
    finally:
        await asyncio.to_thread(supervisor.start, "scheduler")


async def test_a_missing_topic_is_named_and_once_made_used_again(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    admin = AdminClient(cluster.broker_settings())
    worker_log, already = log_of(cluster, cluster.units(App.GPU_WORKER_IMAGE, sidecars=False)[0])
    other_log, before = log_of(cluster, cluster.units(App.GPU_WORKER_IMAGE, sidecars=False)[1])
    wait_for(admin.delete_topics([TASK_UPDATES.name]))
    try:
        task = await project.submit(params={"steps": 40})
        await cluster.check_done_once(project, task["id"], hooks)
        said = worker_log.read_text()[already:] + other_log.read_text()[before:]
        assert f"to {TASK_UPDATES.name}" in said
    finally:
        ensure_topics(admin, 1)
    async with asyncio.timeout(60):
        while not await told_of_progress(project):
            await asyncio.sleep(0.5)


async def told_of_progress(project: ProjectClient) -> bool:
    """Whether a live watcher hears of a task's steps, which come by that topic only."""
    task = await project.submit(params={"steps": 40})
    url = f"/api/v1/live/tasks/{task['id']}"
    try:
        async with asyncio.timeout(10), aconnect_sse(project.http, "GET", url) as source:
            async for event in source.aiter_sse():
                if event.event == "task.progressed.v1":
                    return True
                if event.event == "task.done.v1":
                    return False
    except TimeoutError:
        pass
    return False
