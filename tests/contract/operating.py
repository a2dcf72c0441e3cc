"""The `movie-tasks` command against the platform's own application on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from chassis.server import GuestServer, listen, served
from chassis.service import Service, Surroundings, build_app
from operator_cli.app import app
from operator_cli.failing import Failed
from typer.testing import CliRunner

from tests.conftest import ADMIN_KEY, TOKEN, Running, World


@dataclass
class Said:
    """What a command printed, and how it ended."""

    out: str
    code: int
    why: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Terminal:
    running: Running
    world: World
    url: str
    key: str
    environment: dict[str, str] = field(default_factory=dict)

    async def run(self, *arguments: str, answer: str = "", **environment: str) -> Said:
        """A command as somebody types it, in a thread: the server answers on this loop meanwhile."""
        return await asyncio.to_thread(self._run, arguments, answer, environment)

    def _run(self, arguments: Sequence[str], answer: str, environment: dict[str, str]) -> Said:
        known = {
            "MOVIE_TASKS_URL": self.url,
            "MOVIE_TASKS_ADMIN_KEY": ADMIN_KEY,
            "MOVIE_TASKS_KEY": self.key,
            "MOVIE_TASKS_OPERATOR": "ada",
            "COLUMNS": "200",
            "NO_PROXY": "*",
        }
        result = CliRunner().invoke(app, arguments, input=answer, env=known | self.environment | environment)
        failed = result.exception
        if isinstance(failed, Failed):
            return Said(result.stdout, failed.code, str(failed))
        if failed is not None and not isinstance(failed, SystemExit):
            raise failed
        return Said(result.stdout, result.exit_code, result.stderr)


@asynccontextmanager
async def terminal_to(world: World, services: Sequence[Service], key: str) -> AsyncIterator[Terminal]:
    around = Surroundings(publisher=world.bus, clock=world.clock, app_api_token=TOKEN)
    application = build_app(services, around)
    config = served(application, "127.0.0.1", 0)
    server, listening = GuestServer(config), listen(config)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    serving = asyncio.create_task(server.serve([listening]))
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http, asyncio.timeout(60):
            while not server.started or (await http.get("/readyz")).status_code != httpx.codes.OK:
                await asyncio.sleep(0.01)
            yield Terminal(Running(application, http), world, url, key)
    finally:
        server.should_exit = True
        await serving
