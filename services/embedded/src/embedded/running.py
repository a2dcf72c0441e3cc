"""The whole platform on a laptop: the Dapr scheduler, one daprd, and one process of all services."""

import asyncio
import fcntl
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gpu_worker.app
import httpx
import uvicorn
import uvloop
from chassis.server import listen, served
from chassis.settings import SidecarSettings

from embedded.address import Address, forget_address, read_address, write_address
from embedded.app import MakeWorker, create
from embedded.credentials import Credentials, load_or_create
from embedded.processes import Process, SchedulerPorts, SidecarPorts, check_alive, daprd, free_ports, scheduler
from embedded.settings import EmbeddedSettings

APP_ID = "movie-tasks"


class AlreadyRunning(Exception):
    """Another process serves from the same data folder; the text says where."""


WhenUp = Callable[[Address, Credentials, Path], Awaitable[None]]


def run(
    settings: EmbeddedSettings,
    make_worker: MakeWorker = gpu_worker.app.create,
    when_up: WhenUp | None = None,
) -> None:
    """Runs until it is told to stop. Raises `AlreadyRunning`, `ProcessFailed` and `CatalogError`."""
    # uvicorn repeats the signal that stopped it; as an exception it lets everything below be put away.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    (settings.data / "logs").mkdir(parents=True, exist_ok=True)
    with _only_one(settings.data):
        credentials = load_or_create(settings.data)
        ports = SidecarPorts(settings.port or free_ports(1)[0], *free_ports(4))
        with _dapr(settings, ports, credentials) as children:
            address = Address(f"http://{settings.host}:{ports.app}", f"http://127.0.0.1:{ports.http}")
            sidecar = SidecarSettings(
                dapr_http_port=ports.http,
                dapr_grpc_port=ports.grpc,
                dapr_api_token=credentials.dapr_api_token,
                app_api_token=credentials.app_api_token,
            )
            app = create(settings, credentials, sidecar, make_worker)
            server = uvicorn.Server(served(app, settings.host, ports.app or 0))
            for child in children.values():
                threading.Thread(target=_stop_when_gone, args=(child, server), daemon=True).start()
            uvloop.run(_serve(server, _announce(address, credentials, settings.data, when_up)))
            for log, child in children.items():
                check_alive(child, log)


def _stop_when_gone(child: Process, server: uvicorn.Server) -> None:
    """Services without their sidecar look alive and can do nothing."""
    child.wait()
    server.should_exit = True


async def _serve(server: uvicorn.Server, announcement: Coroutine[Any, Any, None]) -> None:
    announcing = asyncio.create_task(announcement)
    try:
        await server.serve([listen(server.config)])
    finally:
        announcing.cancel()
        with suppress(asyncio.CancelledError):
            await announcing


async def _announce(address: Address, credentials: Credentials, data: Path, when_up: WhenUp | None) -> None:
    """Writes the address down once everything is up, so that its appearance means ready."""
    async with httpx.AsyncClient(base_url=address.api, trust_env=False) as http:
        while True:
            with suppress(httpx.TransportError):
                if (await http.get("/readyz")).is_success:
                    break
            await asyncio.sleep(0.05)
    write_address(data, address)
    if when_up is not None:
        await when_up(address, credentials, data)


@contextmanager
def _only_one(data: Path) -> Iterator[None]:
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            at = read_address(data)
            raise AlreadyRunning(f"a platform runs on {data} already{f', at {at.api}' if at else ''}") from None
        forget_address(data)
        try:
            yield
        finally:
            forget_address(data)


@contextmanager
def _dapr(
    settings: EmbeddedSettings, ports: SidecarPorts, credentials: Credentials
) -> Iterator[Mapping[Path, Process]]:
    """Both Dapr processes, by the logs they write."""
    logs, binaries = settings.data / "logs", settings.dapr_bin
    scheduler_log, daprd_log = logs / "scheduler.log", logs / "daprd.log"
    environment = {
        "APP_API_TOKEN": credentials.app_api_token,
        "DAPR_API_TOKEN": credentials.dapr_api_token,
        # NORMAL loses nothing when a process dies, and saves a disk flush at every step of every task.
        "MOVIE_TASKS_STATE_DSN": f"{settings.data.resolve()}/state.db?_pragma=synchronous(1)",
    }
    at = SchedulerPorts.choose()
    with (
        scheduler(binaries / "scheduler", settings.data / "scheduler", at, scheduler_log) as first,
        daprd(binaries / "daprd", APP_ID, settings.components, ports, at.listen, environment, daprd_log) as second,
    ):
        yield {scheduler_log: first, daprd_log: second}
