"""A daprd and a scheduler around an application made in the test itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from chassis.publisher import DaprPublisher
from chassis.server import GuestServer
from chassis.settings import SidecarSettings
from chassis.sidecar import Sidecar
from contracts.events import CloudEvent, Message, read_cloud_event
from contracts.topics import Topic
from embedded.processes import SchedulerPorts, SidecarPorts, daprd, free_ports, scheduler
from fastapi import FastAPI, Request
from starlette.types import ASGIApp

APP_TOKEN, DAPR_TOKEN = "app-token-for-tests", "dapr-token-for-tests"


@asynccontextmanager
async def sidecar_for(
    app: ASGIApp, components: Path, dapr_bin: Path, data: Path, secrets: Mapping[str, str] | None = None
) -> AsyncIterator[Sidecar]:
    """The app served, daprd delivering to it, and a connected client. `secrets` are what the components ask for."""
    data.mkdir(parents=True, exist_ok=True)
    [port, *others] = free_ports(5)
    ports, at = SidecarPorts(port, *others), SchedulerPorts.choose()
    environment = {
        "APP_API_TOKEN": APP_TOKEN,
        "DAPR_API_TOKEN": DAPR_TOKEN,
        "MOVIE_TASKS_STATE_DSN": f"{data}/state.db?_pragma=synchronous(1)",
        **(secrets or {}),
    }
    server = GuestServer(uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="off"))
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


class SidecarLine:
    """One topic through a daprd: the application that listens, and the client that speaks."""

    def __init__(self, topic: Topic) -> None:
        self.topic, self.refusals = topic, 0
        self.heard: list[CloudEvent] = []
        self.app = FastAPI()
        self.app.add_api_route("/dapr/subscribe", self._subscriptions, methods=["GET"])
        self.app.add_api_route("/event", self._event, methods=["POST"])
        self._publisher: DaprPublisher | None = None

    def speak_through(self, sidecar: Sidecar) -> None:
        self._publisher = DaprPublisher(sidecar)

    async def publish(self, message: Message) -> None:
        assert self._publisher is not None
        await self._publisher.publish(message)

    async def _subscriptions(self) -> list[dict[str, str]]:
        return [{"pubsubname": self.topic.component.value, "topic": self.topic.name, "route": "/event"}]

    async def _event(self, request: Request) -> dict[str, str]:
        if self.refusals:
            self.refusals -= 1
            return {"status": "RETRY"}
        self.heard.append(read_cloud_event(await request.body()))
        return {"status": "SUCCESS"}
