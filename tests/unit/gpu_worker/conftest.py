from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from contracts.media import Medium
from gpu_worker.app import create_around
from gpu_worker.ports import Place
from gpu_worker.settings import WorkerSettings
from gpu_worker.testing import Script, ScriptedEngine

from tests.conftest import Serve, World
from tests.unit.gpu_worker.driving import Start, WorkerUnderTest, finish


@pytest.fixture
def start(world: World, serve: Serve, tmp_path: Path) -> Start:
    @asynccontextmanager
    async def starting(
        script: Script | None = None, place: Place | None = None, **changes: Any
    ) -> AsyncIterator[WorkerUnderTest]:
        engine = ScriptedEngine(script)
        changes = {"worker_heartbeat": timedelta(seconds=0.02)} | changes
        settings = WorkerSettings(
            worker_medium=Medium.IMAGE,
            worker_scratch=tmp_path / "scratch",
            media_url="memory:///",
            replica="test",
            **changes,
        )
        service = create_around(engine, nullcontext, settings, world.outside, place=place)
        async with serve([service]) as running:
            yield WorkerUnderTest(running, world, engine, service)

    return starting


@pytest.fixture(autouse=True)
def _unfinished() -> None:
    finish.clear()
