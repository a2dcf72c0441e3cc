"""The platform that a demo shows: the one that runs, or one for as long as the demo takes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx
from contracts.media import Medium
from contracts.views import API
from rich.console import Console

from embedded.address import Address, read_address
from embedded.settings import EmbeddedSettings

OUTPUT = Path("demo-output")
UP_WITHIN_SECONDS = 300

Found = TypeVar("Found")

console = Console()


class DemoFailed(Exception):
    """The demo cannot go on; the text says why and what to do."""


@asynccontextmanager
async def platform_of(settings: EmbeddedSettings) -> AsyncIterator[Address]:
    """The platform of the data folder: the one that runs, or one for the length of the demo."""
    running = read_address(settings.data)
    if running is not None:
        console.print(f"Using the platform that runs at {running.api}")
        yield running
        return
    log = settings.data / "logs" / "platform.log"
    process = await asyncio.to_thread(_start, log)
    try:
        with console.status("Starting the platform: Dapr scheduler, daprd and all services"):
            address = await _until(lambda: _address(settings.data), process, log)
        console.print(f"The platform runs at {address.api}")
        with console.status("Starting the engines: loading torch and diffusers"):
            await _until(lambda: _workers_are_ready(address), process, log)
        yield address
    finally:
        process.terminate()
        with console.status("Stopping the platform"):
            await asyncio.to_thread(process.wait)


def _start(log: Path) -> "subprocess.Popen[bytes]":
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "embedded", "serve"],
            stdout=output,
            stderr=output,
            # Ctrl-C is for the demo, which then stops the platform.
            start_new_session=True,
        )


async def _address(data: Path) -> Address | None:
    return await asyncio.to_thread(read_address, data)


async def _workers_are_ready(address: Address) -> bool:
    async with httpx.AsyncClient(base_url=address.api, trust_env=False) as http:
        health = (await http.get(f"{API}/health")).json()
    return all(health["workers_ready"].get(medium) for medium in Medium)


async def _until(ready: Callable[[], Awaitable[Found | None]], process: "subprocess.Popen[bytes]", log: Path) -> Found:
    """What `ready` finds once it finds something, for as long as the platform's process lives."""
    for _ in range(UP_WITHIN_SECONDS * 10):
        if found := await ready():
            return found
        if process.poll() is not None:
            break
        await asyncio.sleep(0.1)
    last = "\n".join((await asyncio.to_thread(log.read_text, errors="replace")).splitlines()[-10:])
    raise DemoFailed(f"The platform did not come up. The end of {log}:\n{last}")
