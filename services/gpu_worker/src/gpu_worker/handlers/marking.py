"""Keeps the mark on the worker's place true: whether it has work that its removal would end."""

import asyncio
from collections.abc import Callable

import structlog
from contracts.errors import RetryableError

from gpu_worker.ports import Place

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 0.5
"""A render takes longer than that, and who is removed before it is marked still has its grace."""
TRY_AGAIN_SECONDS = 5.0


async def keep_marking(place: Place, has_work: Callable[[], bool]) -> None:
    """Runs for as long as the service does. What was marked before this process began is unknown, so it begins anew."""
    marked: bool | None = None
    while True:
        busy = has_work()
        pause = LOOK_EVERY_SECONDS
        if busy is not marked:
            try:
                await place.mark(busy=busy)
                marked = busy
            except RetryableError as error:
                log.warning("this worker cannot be marked", busy=busy, reason=error.detail)
                pause = TRY_AGAIN_SECONDS
        await asyncio.sleep(pause)
