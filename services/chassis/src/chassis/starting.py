"""A process's start. It may take long, when something it needs is away; the server answers meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import structlog
from contracts.errors import DependencyUnavailable
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.background import stop_process_if_dead
from chassis.problems import problem_response

log = structlog.get_logger(__name__)

SERVER_WAITS_SECONDS = 2.0
"""How long the server waits for the start. Most starts are over by then, and what fails at once, such as
tables of another version, still ends the process before anybody has called it."""
RETRY_AFTER_SECONDS = 2

Step = tuple[str, Callable[[], AbstractAsyncContextManager[None]]]


class Start:
    """Enters the steps one after the other, by name, and leaves them in the end."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)
        self._at = "nothing is started"
        self._up = asyncio.Event()
        self._leave = asyncio.Event()

    async def check(self) -> None:
        """Raises `DependencyUnavailable` until everything is started."""
        if not self._up.is_set():
            raise DependencyUnavailable(f"{self._at}; /readyz says what is missing", RETRY_AFTER_SECONDS)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        # One task enters and leaves all of it, as some contexts demand.
        going = asyncio.create_task(self._go())
        up = asyncio.create_task(self._up.wait())
        await asyncio.wait({going, up}, timeout=SERVER_WAITS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if going.done():
            await going
        going.add_done_callback(stop_process_if_dead)
        try:
            yield
        finally:
            going.remove_done_callback(stop_process_if_dead)
            if self._up.is_set():
                self._leave.set()
            else:
                going.cancel()
            await asyncio.gather(going, return_exceptions=not self._up.is_set())

    async def _go(self) -> None:
        async with AsyncExitStack() as stack:
            for name, step in self._steps:
                self._at = f"{name} is starting"
                try:
                    await stack.enter_async_context(step())
                except Exception as error:
                    log.critical("a service cannot start", service=name, reason=str(error))
                    raise
            self._up.set()
            await self._leave.wait()


class NotBeforeStart:
    """Answers calls of the API and of the scheduler with 503 until everything is started."""

    PATHS = ("/api/", "/job/")

    def __init__(self, app: ASGIApp, start: Start) -> None:
        self._app = app
        self._start = start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"].startswith(self.PATHS):
            try:
                await self._start.check()
            except DependencyUnavailable as error:
                answer = problem_response(error.problem(), 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
