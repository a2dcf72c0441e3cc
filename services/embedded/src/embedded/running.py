"""The whole platform on a laptop: the Dapr scheduler, one daprd, and one process of all services."""

import asyncio
import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from chassis.settings import SidecarSettings

from embedded.app import create
from embedded.credentials import Credentials, load_or_create
from embedded.processes import DaprPorts, daprd, scheduler
from embedded.settings import EmbeddedSettings

APP_ID = "movie-tasks"
SHUT_DOWN_WITHIN_SECONDS = 5


class AlreadyRunning(Exception):
    """Another process serves from the same data folder; the text says where."""


@dataclass(frozen=True)
class Address:
    """Where a running platform is reached."""

    api: str
    dapr: str
    """Base address of the sidecar's HTTP API."""


def read_address(data: Path) -> Address | None:
    """Where the platform of this data folder runs, if it does."""
    try:
        return Address(**json.loads((data / "address.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def run(settings: EmbeddedSettings) -> None:
    """Runs until it is told to stop. Raises `AlreadyRunning`, `ProcessFailed` and `CatalogError`."""
    (settings.data / "logs").mkdir(parents=True, exist_ok=True)
    with _only_one(settings.data):
        credentials = load_or_create(settings.data)
        ports = DaprPorts.choose(settings.port)
        with _dapr(settings, ports, credentials):
            address = Address(f"http://{settings.host}:{ports.app}", f"http://127.0.0.1:{ports.http}")
            sidecar = SidecarSettings(
                dapr_http_port=ports.http,
                dapr_grpc_port=ports.grpc,
                dapr_api_token=credentials.dapr_api_token,
                app_api_token=credentials.app_api_token,
            )
            app = create(settings.data, credentials, sidecar)
            config = uvicorn.Config(
                app,
                host=settings.host,
                port=ports.app,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=SHUT_DOWN_WITHIN_SECONDS,
            )
            asyncio.run(_serve(uvicorn.Server(config), address, settings.data))


async def _serve(server: uvicorn.Server, address: Address, data: Path) -> None:
    announcing = asyncio.create_task(_announce(address, data))
    try:
        await server.serve()
    finally:
        announcing.cancel()
        with suppress(asyncio.CancelledError):
            await announcing


async def _announce(address: Address, data: Path) -> None:
    """Writes the address down once everything is up, so that its appearance means ready."""
    async with httpx.AsyncClient(base_url=address.api, trust_env=False) as http:
        while True:
            with suppress(httpx.TransportError):
                if (await http.get("/readyz")).is_success:
                    break
            await asyncio.sleep(0.05)
    partial = data / "address.json.part"
    partial.write_text(json.dumps({"api": address.api, "dapr": address.dapr}))
    partial.rename(data / "address.json")


@contextmanager
def _only_one(data: Path) -> Iterator[None]:
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            at = read_address(data)
            raise AlreadyRunning(f"a platform runs on {data} already{f', at {at.api}' if at else ''}") from None
        (data / "address.json").unlink(missing_ok=True)
        try:
            yield
        finally:
            (data / "address.json").unlink(missing_ok=True)


@contextmanager
def _dapr(settings: EmbeddedSettings, ports: DaprPorts, credentials: Credentials) -> Iterator[None]:
    logs = settings.data / "logs"
    environment = {
        "APP_API_TOKEN": credentials.app_api_token,
        "DAPR_API_TOKEN": credentials.dapr_api_token,
        # NORMAL loses nothing when a process dies, and saves a disk flush at every step of every task.
        "MOVIE_TASKS_STATE_DSN": f"{settings.data.resolve()}/state.db?_pragma=synchronous(1)",
    }
    binaries = settings.dapr_bin
    with (
        scheduler(binaries / "scheduler", settings.data / "scheduler", ports, logs / "scheduler.log"),
        daprd(binaries / "daprd", APP_ID, settings.components, ports, environment, logs / "daprd.log"),
    ):
        yield


def is_alive(address: Address) -> bool:
    try:
        return httpx.get(f"{address.api}/healthz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
