"""The connection to a daprd that goes and comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

import pytest
from chassis.settings import SidecarSettings
from chassis.sidecar import Sidecar
from chassis.state import DaprStateStore
from contracts.errors import DependencyUnavailable
from embedded.processes import Process, SchedulerPorts, SidecarPorts, daprd, free_ports, scheduler

from tests.integration.sidecar import APP_TOKEN, DAPR_TOKEN

LOCAL = Path(__file__).parents[2] / "dapr-components" / "local"
AWAY_SECONDS = 18
"""Its own client looks for it after about 1, 3, 5, 9, 16 and 26 seconds."""


async def test_a_sidecar_that_is_back_is_used_as_soon_as_it_answers(dapr_bin: Path, tmp_path: Path) -> None:
    ports, at = SidecarPorts(0, *free_ports(4)), SchedulerPorts.choose()
    environment = {
        "APP_API_TOKEN": APP_TOKEN,
        "DAPR_API_TOKEN": DAPR_TOKEN,
        "MOVIE_TASKS_STATE_DSN": f"{tmp_path}/state.db?_pragma=synchronous(1)",
    }
    settings = SidecarSettings(
        dapr_http_port=ports.http, dapr_grpc_port=ports.grpc, dapr_api_token=DAPR_TOKEN, app_api_token=APP_TOKEN
    )
    sidecar = Sidecar(settings)
    store = DaprStateStore(sidecar, "taskstate")

    def started() -> AbstractContextManager[Process]:
        return daprd(dapr_bin / "daprd", "test", LOCAL, ports, at.listen, environment, tmp_path / "daprd.log")

    with scheduler(dapr_bin / "scheduler", tmp_path / "scheduler", at, tmp_path / "scheduler.log"), started() as first:
        async with sidecar.connected():
            assert await store.get("task:none") is None
            with pytest.raises(DependencyUnavailable, match="delivers nothing yet"):
                await sidecar.check_hearing()
            first.kill()
            first.wait()
            for _ in range(AWAY_SECONDS):
                with pytest.raises(DependencyUnavailable):
                    await store.get("task:none")
                await asyncio.sleep(1)
            with started():
                async with asyncio.timeout(30):
                    await until_it_works(sidecar.subscriptions)
                async with asyncio.timeout(3):
                    await until_it_works(partial(store.get, "task:none"))


async def until_it_works(call: Callable[[], Awaitable[object]]) -> None:
    while True:
        with suppress(DependencyUnavailable):
            await call()
            return
        await asyncio.sleep(0.1)
