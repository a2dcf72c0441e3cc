"""Things die: every task still ends exactly once, with one result and one set of notifications."""

import asyncio
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import psutil
import pytest

from tests.clients import ProjectClient, Receiver, receiver
from tests.integration.platform import Platform

SLOW = {"steps": 50, "width": 256, "height": 256}
StartPlatform = Callable[[], Platform]


async def check_ended_once(project: ProjectClient, task_id: str, hooks: Receiver, attempts: set[int]) -> None:
    task = await project.wait(task_id)
    assert task["status"] == "done", task["error"]
    assert task["attempt"] in attempts
    await hooks.wait_for(1)
    await asyncio.sleep(1)  # for a second webhook that must not come
    assert set(hooks.types) == {"task.done.v1"}
    assert len(set(hooks.ids)) == 1
    file = await project.http.get(task["result"]["url"])
    assert len(file.content) == task["result"]["size"]
    endings = [entry["type"] for entry in await project.history(task_id) if entry["type"] == "task.done.v1"]
    assert len(endings) == 1


async def find_busiest(engines: list[psutil.Process]) -> psutil.Process:
    before = [sum(engine.cpu_times()[:2]) for engine in engines]
    await asyncio.sleep(0.3)
    spent = [sum(engine.cpu_times()[:2]) - earlier for engine, earlier in zip(engines, before, strict=True)]
    return engines[spent.index(max(spent))]


async def test_an_engine_killed_while_generating(platform: Platform) -> None:
    async with platform.project() as project, receiver(project) as hooks:
        task = await project.submit(params=SLOW)
        await project.wait(task["id"], "generating")
        busiest = await find_busiest(platform.engines())
        busiest.send_signal(signal.SIGKILL)
        await check_ended_once(project, task["id"], hooks, attempts={2})
        retrying = [entry for entry in await project.history(task["id"]) if entry["type"] == "task.retrying.v1"]
        assert len(retrying) == 1
        assert "exit code -9" in retrying[0]["detail"]


@contextmanager
def out_of_reach(folder: Path) -> Iterator[None]:
    """Nothing can be read from or written to the folder meanwhile, as if its volume had gone."""
    away = folder.with_name(f"{folder.name}-away")
    folder.rename(away)
    folder.touch()
    yield
    folder.unlink()
    away.rename(folder)


def forget_what_is_to_be_stored(data: Path) -> None:
    """As if the process had died before storage heard of it."""
    with closing(sqlite3.connect(data / "storage.db")) as database, database:
        database.execute("DELETE FROM ingests")


@pytest.mark.parametrize("moment", ["submitted", "generating", "storing", "storing, unheard"])
async def test_the_whole_process_killed_and_started_again(own_platform: StartPlatform, moment: str) -> None:
    """daprd dies with it, and with daprd every event that was on its way."""
    own = own_platform()
    async with own.project("film") as project, receiver(project) as hooks:
        key = project.key
        await project.make()
        await hooks.wait_for(1)
        hooks.received.clear()
        hooks.ids.clear()
        phase, *unheard = moment.split(", ")
        with out_of_reach(own.data / "media" / "projects") if phase == "storing" else nullcontext():
            task = await project.submit(params=SLOW if phase == "generating" else {"steps": 8})
            if phase != "submitted":
                await project.wait(task["id"], phase)
            own.kill()
        if unheard:
            forget_what_is_to_be_stored(own.data)
        own.start()
        async with own.project("other") as client:
            again = ProjectClient(own.access, client.http, "film")
            again.http.headers["X-API-Key"] = key
            await check_ended_once(again, task["id"], hooks, attempts={1, 2, 3})


async def test_a_webhook_is_repeated_after_a_failure_and_over_a_restart(own_platform: StartPlatform) -> None:
    own = own_platform()
    async with own.project() as project, receiver(project) as hooks:
        hooks.answers = [500]
        await project.make()
        await hooks.wait_for(1)
        own.stop()
        own.start()
        await hooks.wait_for(2)
        assert hooks.ids[0] == hooks.ids[1]
        assert hooks.received[0] == hooks.received[1]


async def test_what_a_stopped_platform_had_in_hand_is_handed_back_without_blame(own_platform: StartPlatform) -> None:
    own = own_platform()
    async with own.project("film") as project, receiver(project) as hooks:
        task = await project.submit(params=SLOW)
        await project.wait(task["id"], "generating")
        key = project.key
        own.stop()
        own.start()
        async with own.project("other") as client:
            again = ProjectClient(own.access, client.http, "film")
            again.http.headers["X-API-Key"] = key
            await check_ended_once(again, task["id"], hooks, attempts={2})
            assert (await again.status(task["id"]))["failures"] == 0


async def test_a_platform_that_loses_its_sidecar_stops_and_says_why(own_platform: StartPlatform) -> None:
    own = own_platform()
    [daprd] = [child for child in psutil.Process(own.pid).children() if child.name() == "daprd"]
    daprd.kill()
    assert own.process is not None
    assert await asyncio.to_thread(own.process.wait, 30) == 1
    assert "daprd ended with exit code -9" in own.log
