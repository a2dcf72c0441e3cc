"""The gateway alone, with nobody behind it."""

import asyncio
import os
from pathlib import Path

import httpx
from cluster.gateway import gateway
from contracts.topics import App
from embedded.processes import free_ports

from tests.conftest import until


async def test_what_opens_the_platform_is_in_no_log(tmp_path: Path) -> None:
    port, nobody = free_ports(2)
    caddy = Path(os.environ["MOVIE_TASKS_CLUSTER_PROGRAMS"]) / "caddy"
    unit = gateway(caddy, tmp_path, port, {app: [f"127.0.0.1:{nobody}"] for app in App})
    unit.prepare()
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *unit.command, env={**os.environ, **unit.environment}, stderr=log
        )
    try:
        await until(unit.ready)
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            answer = await http.get(
                f"http://127.0.0.1:{port}/api/v1/live/ws?ticket=the-ticket&api_key=the-key&tag=hero",
                headers={"X-API-Key": "the-key", "X-Admin-Key": "the-admin-key"},
            )
        assert answer.status_code == 502
    finally:
        process.terminate()
        await process.wait()
    written = (tmp_path / "log").read_text()
    assert "/api/v1/live/ws?tag=hero" in written
    assert "the-" not in written
