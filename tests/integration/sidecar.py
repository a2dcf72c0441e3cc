"""A daprd and a scheduler around an application made in the test itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from chassis.server import GuestServer
from chassis.settings import SidecarSettings
from chassis.sidecar import Sidecar
from embedded.processes import SchedulerPorts, SidecarPorts, daprd, free_ports, scheduler
from starlette.types import ASGIApp

APP_TOKEN, DAPR_TOKEN = "app-token", "dapr-token"


@asynccontextmanager
async def sidecar_for(app: ASGIApp, components: Path, dapr_bin: Path, data: Path) -> AsyncIterator[Sidecar]:
    """The app served, daprd delivering to it, and a connected client."""
    data.mkdir(parents=True, exist_ok=True)
    [port, *others] = free_ports(5)
    ports, at = SidecarPorts(port, *others), SchedulerPorts.choose()
    environment = {
        "APP_API_TOKEN": APP_TOKEN,
        "DAPR_API_TOKEN": DAPR_TOKEN,
        "MOVIE_TASKS_STATE_DSN": f"{data}/state.db?_pragma=synchronous(1)",
    }
    server = GuestServer(uvicorn.Config(app, port=port, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    with (
        scheduler(dapr_bin / "scheduler", data / "scheduler", at, data / "scheduler.log"),
        daprd(dapr_bin / "daprd", "test", components, ports, at.listen, environment, data / "daprd.log"),
    ):
        settings = SidecarSettings(
            dapr_http_port=ports.http, dapr_grpc_port=ports.grpc, dapr_api_token=DAPR_TOKEN, app_api_token=APP_TOKEN
        )
        sidecar = Sidecar(settings)
        async with sidecar.connected():
            await _until_healthy(sidecar)
            yield sidecar
    server.should_exit = True
    await serving


async def _until_healthy(sidecar: Sidecar) -> None:
    """Until daprd has seen the app too, and the scheduler's streams are open."""
    async with httpx.AsyncClient() as http, asyncio.timeout(30):
        while not (await http.get(f"{sidecar.http_address}/v1.0/healthz", headers=sidecar.headers)).is_success:
            await asyncio.sleep(0.05)
