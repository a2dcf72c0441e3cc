"""Work that goes on for as long as a service runs."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

log = structlog.get_logger(__name__)


@asynccontextmanager
async def background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs the coroutines beside the body and stops them with it.

    Such work never ends by itself. If it does, the process is asked to stop, because a service that
    looks alive but no longer does its work is worse than one that is restarted.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    for task in tasks:
        task.add_done_callback(_stop_process_if_dead)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _stop_process_if_dead(task: "asyncio.Task[None]") -> None:
    if task.cancelled():
        return
    log.critical("background work ended; stopping the process", exc_info=task.exception())
    os.kill(os.getpid(), signal.SIGTERM)
