"""What the services stand on goes away and comes back: what can be answered is answered, and work resumes by itself."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import psutil
from contracts.topics import App

from tests.clients import ProjectClient, Receiver
from tests.distributed.cluster_under_test import ClusterUnderTest

STEPS = {"steps": 20}


@asynccontextmanager
async def away(cluster: ClusterUnderTest, unit: str) -> AsyncIterator[None]:
    supervisor = cluster.running.supervisor
    await asyncio.to_thread(supervisor.kill, unit, again=False)
    try:
        yield
    finally:
        await asyncio.to_thread(supervisor.start, unit)


async def test_the_broker_stopped_for_half_a_minute(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    running = await project.submit(params={"steps": 50})
    await project.wait(running["id"], "generating")
    async with away(cluster, "broker"):
        accepted = [await project.submit(params=STEPS) for _ in range(3)]
        await asyncio.sleep(30)
        assert (await project.status(accepted[0]["id"]))["status"] == "pending"
    await cluster.until_ready()
    await cluster.check_done_once(project, running["id"], hooks, range(1, 4))
    for task in accepted:
        await cluster.check_done_once(project, task["id"], hooks, range(1, 4))


async def test_postgres_stopped_and_back(cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver) -> None:
    running = await project.submit(params=STEPS)
    await project.wait(running["id"], "generating")
    async with away(cluster, "postgres"):
        refused = await project.http.post(
            "/api/v1/tasks/submit", json={"model": "tiny-image", "params": {"prompt": "a red circle"}}
        )
        assert (refused.status_code, refused.json()["code"]) == (503, "dependency-unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await project.http.get("/api/v1/models")).status_code == 200
        await asyncio.sleep(8)
    await cluster.until_ready()
    await cluster.check_done_once(project, running["id"], hooks, range(1, 4))
    await cluster.check_done_once(project, (await project.submit(params=STEPS))["id"], hooks)


async def test_the_object_store_refuses_and_comes_back(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    task = await project.submit(params=STEPS)
    await project.wait(task["id"], "generating")
    async with away(cluster, "s3"):
        await asyncio.sleep(6)
        waiting = await project.status(task["id"])
        assert waiting["status"] == "processing"
        later = await project.submit(params={"steps": 1})
    await cluster.check_done_once(project, task["id"], hooks)
    await cluster.check_done_once(project, later["id"], hooks)


async def test_a_file_that_cannot_be_fetched_now_is_said_so(cluster: ClusterUnderTest, project: ProjectClient) -> None:
    task = await project.make(params={"steps": 1})
    async with away(cluster, "s3"), httpx.AsyncClient(base_url=project.access.api, timeout=60) as http:
        answer = await http.get(task["result"]["url"], headers={"X-API-Key": project.key})
        assert (answer.status_code, answer.json()["code"]) == (503, "dependency-unavailable")
        assert "Retry-After" in answer.headers
    assert (await project.http.get(task["result"]["url"])).is_success


async def test_a_slow_object_store_delays_and_nothing_more(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    task = await project.submit(params=STEPS)
    await project.wait(task["id"], "generating")
    cluster.running.supervisor.send(signal.SIGSTOP, "s3")
    try:
        await asyncio.sleep(10)
    finally:
        cluster.running.supervisor.send(signal.SIGCONT, "s3")
    await cluster.check_done_once(project, task["id"], hooks)


async def test_a_result_that_was_corrupted_in_staging_is_made_again(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    storages = cluster.units(App.STORAGE, sidecars=False)
    cluster.running.supervisor.send(signal.SIGSTOP, *storages)
    try:
        task = await project.submit(params={"steps": 1})
        await project.wait(task["id"], "storing")
        [staged] = (cluster.objects / "staging" / task["id"]).rglob("*.png")
        content = bytearray(staged.read_bytes())
        content[-20] ^= 1
        staged.write_bytes(content)
    finally:
        cluster.running.supervisor.send(signal.SIGCONT, *storages)
    await cluster.check_done_once(project, task["id"], hooks, range(2, 3))


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """The folder on a volume of its own that has no byte left."""
    folder.mkdir(exist_ok=True)
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "full", folder], check=True)
    try:
        with (folder / "filler").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        yield
    finally:
        subprocess.run([*as_root, "umount", "--lazy", folder], check=True)


async def test_a_full_disk_in_staging_delays_and_nothing_more(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    await cluster.check_at_rest()  # The object store takes a folder away with the last file in it.
    with full_disk(cluster.objects / "staging"):
        task = await project.submit(params={"steps": 1})
        await project.wait(task["id"], "generating")
        await asyncio.sleep(4)
        assert (await project.status(task["id"]))["status"] == "processing"
    await cluster.check_done_once(project, task["id"], hooks)


async def test_the_dapr_scheduler_stopped_over_a_due_time(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    async with away(cluster, "scheduler"):
        task = await project.submit(params={"prompt": "fail 1", "steps": 1})
        await cluster.check_done_once(project, task["id"], hooks, range(2, 3))


async def test_a_webhook_receiver_that_is_away_is_told_later(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    hooks.answers = [503]
    task = await project.submit(params={"steps": 1})
    await hooks.wait_for(2, within=90)
    assert len(set(hooks.ids)) == 1
    await cluster.check_done_once(project, task["id"], hooks)


async def test_a_database_that_hangs_is_soon_no_longer_waited_for(
    cluster: ClusterUnderTest, project: ProjectClient, hooks: Receiver
) -> None:
    """The circuit breaker opens: an answer in no time instead of a wait for each. Mended, it closes by itself."""
    task = await project.make(params={"steps": 1})
    path, key = f"/api/v1/tasks/{task['id']}/status", {"X-API-Key": project.key}
    postgres = psutil.Process(cluster.running.supervisor.pid("postgres"))
    everybody = [postgres, *postgres.children()]
    async with httpx.AsyncClient(base_url=project.access.api, headers=key, timeout=60) as http:
        for process in everybody:
            process.suspend()
        try:
            answers = await asyncio.gather(*(http.get(path) for _ in range(80)))
            assert {answer.status_code for answer in answers} == {503}
            started = time.monotonic()
            soon = await asyncio.gather(*(http.get(path) for _ in range(10)))
            assert {answer.status_code for answer in soon} == {503}
            assert time.monotonic() - started < 5
        finally:
            for process in everybody:
                process.resume()
        async with asyncio.timeout(30):
            while not (await http.get(path)).is_success:
                await asyncio.sleep(0.2)
    await cluster.check_done_once(project, task["id"], hooks)
