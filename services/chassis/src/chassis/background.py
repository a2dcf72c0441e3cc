"""Work that goes on for as long as a service runs."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from contracts.errors import RetryableError

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
SILENT_FOR_SECONDS = 2.0
SAY_AGAIN_SECONDS = 15.0
LOOK_AGAIN = timedelta(seconds=2)


_died = threading.Event()


def died() -> bool:
    """Whether this process was asked to stop because work that never ends has ended."""
    return _died.is_set()


@asynccontextmanager
async def background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs the coroutines beside the body and stops them with it.

    Such work never ends by itself. If it does, the process is asked to stop, because a service that
    looks alive but no longer does its work is worse than one that is restarted.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    for task in tasks:
        task.add_done_callback(stop_process_if_dead)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def keep_trying(attempt: Callable[[], Awaitable[None]], waiting_for: str, pause: float = PAUSE_SECONDS) -> None:
    """Makes the attempt until it succeeds; says in the log what holds it up, and for how long already."""
    started, said, say_at = time.monotonic(), "", SILENT_FOR_SECONDS
    while True:
        try:
            await attempt()
        except RetryableError as error:
            waited = time.monotonic() - started
            if waited >= say_at or (said and error.detail != said):
                log.warning("waiting", waiting_for=waiting_for, reason=error.detail, seconds=round(waited, 1))
                said, say_at = error.detail, waited + SAY_AGAIN_SECONDS
            await asyncio.sleep(pause)
        else:
            return


Work = TypeVar("Work")


async def keep_doing(
    wanted: asyncio.Event,
    take: Callable[[int], Awaitable[Sequence[Work]]],
    do: Callable[[Work], Coroutine[Any, Any, None]],
    at_once: int,
) -> None:
    """Takes what is due whenever `wanted` is set, and does it, so much at once. Never ends.

    `take` is told how much may be taken, and marks what it returns as taken, so that it is not
    returned again soon. `do` settles what it is given and raises nothing; work that is not settled
    comes back when its mark runs out.
    """
    doing: set[asyncio.Task[None]] = set()

    def done(finished: "asyncio.Task[None]") -> None:
        doing.discard(finished)
        wanted.set()

    async with asyncio.TaskGroup() as group:
        while True:
            await wanted.wait()
            wanted.clear()
            if len(doing) == at_once:
                continue
            try:
                taken = await take(at_once - len(doing))
            except RetryableError as error:
                log.warning("due work cannot be looked up now", reason=error.detail)
                await asyncio.sleep(PAUSE_SECONDS)
                wanted.set()
                continue
            for work in taken:
                task = group.create_task(do(work))
                doing.add(task)
                task.add_done_callback(done)


async def keep_ringing(wanted: asyncio.Event, ring: Callable[[], Awaitable[None]], what: str) -> None:
    """Rings an alarm whenever `wanted` is set, before its time comes. Never ends; `what` is for the log."""
    while True:
        await wanted.wait()
        wanted.clear()
        try:
            await ring()
        except RetryableError as error:
            log.warning("a look is put off", what=what, reason=error.detail)
            await asyncio.sleep(PAUSE_SECONDS)
            wanted.set()


def stop_process_if_dead(task: "asyncio.Task[None]") -> None:
    if task.cancelled():
        return
    _died.set()
    log.critical("background work ended; stopping the process", exc_info=task.exception())
    os.kill(os.getpid(), signal.SIGTERM)


async def look_for_due(
    wanted: asyncio.Event, next_due: Callable[[], Awaitable[datetime | None]], now: datetime
) -> datetime | None:
    """An alarm's answer for work that `keep_doing` does: has it look, and says when the next is due.

    What waits for a place is not asked for again at once: whoever frees one looks by himself.
    """
    wanted.set()
    due = await next_due()
    return max(due, now + LOOK_AGAIN) if due is not None else None
