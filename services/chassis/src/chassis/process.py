"""One service as a process of its own, beside its own sidecar."""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

import structlog
import uvloop
from contracts.catalog import CatalogError
from fastapi import FastAPI
from pydantic import ValidationError

from chassis.background import died
from chassis.logs import configure_logs
from chassis.outside import Outside, through_dapr
from chassis.server import GuestServer, listen, served
from chassis.service import Service, Surroundings, build_app
from chassis.settings import ProcessSettings, SidecarSettings
from chassis.sidecar import Sidecar

log = structlog.get_logger(__name__)

Settings = TypeVar("Settings", bound=ProcessSettings)


def run_service(create: Callable[[Settings, Outside], Service], read_settings: Callable[[], Settings]) -> None:
    """Runs until SIGTERM or SIGINT; then finishes what it can and hands back the rest. A second signal hurries it."""
    try:
        settings, sidecar_settings = read_settings(), SidecarSettings()
        configure_logs(settings.log_level)
        outside, around = beside_dapr(settings, sidecar_settings)
        service = create(settings, outside)
    except ValidationError as error:
        sys.exit(f"A setting is missing or wrong. Settings are environment variables named MOVIE_TASKS_*.\n{error}")
    except CatalogError as error:
        sys.exit(str(error))
    uvloop.run(_serve(build_app([service], around), service, settings))


def beside_dapr(settings: ProcessSettings, sidecar_settings: SidecarSettings) -> tuple[Outside, Surroundings]:
    """What a process reaches through its sidecar. Raises `CatalogError` when the catalog cannot be used."""
    sidecar = Sidecar(sidecar_settings)
    outside = through_dapr(sidecar, settings)
    around = Surroundings(
        publisher=outside.publisher,
        clock=outside.clock,
        app_api_token=sidecar_settings.app_api_token.get_secret_value(),
        sidecar=sidecar,
        cors_origins=settings.cors_origins,
        connected=sidecar.connected,
        tracing=outside.tracing,
    )
    return outside, around


async def _serve(app: FastAPI, service: Service, settings: ProcessSettings) -> None:
    config = served(app, settings.host, settings.port)
    server = GuestServer(config)
    told_to_stop = asyncio.Event()

    def stop() -> None:
        server.force_exit = server.should_exit = told_to_stop.is_set()
        told_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve([listen(config)]))
    telling = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({serving, telling}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        log.info("told to stop", service=service.name)
        # Served on meanwhile: who finishes work must still hear the bus.
        draining = asyncio.create_task(service.drain())
        await asyncio.wait({serving, draining}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
    telling.cancel()
    await serving
    if died():
        sys.exit(1)
