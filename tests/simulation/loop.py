"""An event loop in virtual time: nothing waits, and the order of what is ready comes from a seed.

Everything that runs belongs to a simulated process, by a context variable that asyncio hands on from
task to task and from callback to callback. A process that was killed is simply never run again: no
`finally`, no cancellation, as after `kill -9`.
"""

import asyncio
import heapq
import random
from asyncio import base_events
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest.mock import patch

MOST_CALLBACKS = 3_000_000
"""A run that needs more of them goes round in circles."""

Result = TypeVar("Result")


class Stuck(Exception):
    """Nothing is ready and nothing is due, or the run never comes to an end."""


@dataclass(eq=False)
class Process:
    """What lives and dies together."""

    name: str
    alive: bool = True
    context: Context = field(default_factory=Context)

    def __post_init__(self) -> None:
        self.context.run(_PROCESS.set, self)


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


def current_process() -> Process | None:
    """The process whose code is running; None in the world outside of all of them."""
    return _PROCESS.get()


class VirtualLoop(base_events.BaseEventLoop):
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _timer_cancelled_count: int

    def __init__(self, order: random.Random) -> None:
        super().__init__()
        self._order = order
        self._now = 0.0
        self._run = 0
        self._all_tasks: list[asyncio.Task[Any]] = []
        self.failures: list[str] = []
        """What nobody caught."""
        self.outside = Context()
        """The context of what belongs to no process: the network, the broker, the stores."""
        self.set_exception_handler(self._note_failure)
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        return self._now

    def spawn(self, process: Process | None, work: Coroutine[Any, Any, Result], name: str = "") -> asyncio.Task[Result]:
        """Starts the work inside a process, or outside of all."""
        context = process.context if process is not None else self.outside
        return self.create_task(work, name=name, context=context.copy())

    def later(self, seconds: float, act: Callable[..., None], *args: Any) -> None:
        """Does something in the world outside."""
        self.call_later(seconds, act, *args, context=self.outside)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        """At once and on this thread."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def forget_everything(self) -> None:
        """Closes what the killed processes left behind, so that no coroutine is found unfinished."""
        with patch("sys.unraisablehook", lambda _what: None):
            self._close_tasks()
        self._ready.clear()
        self._scheduled.clear()
        self.close()

    def _close_tasks(self) -> None:
        for task in self._all_tasks:
            if task.done():
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            for _ in range(20):
                with suppress(BaseException):
                    coroutine.close()
                    break

    def _run_once(self) -> None:
        if not self._ready:
            self._jump()
        while self._scheduled and self._scheduled[0].when() <= self._now:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
            self._ready.append(timer)
        batch = list(self._ready)
        self._ready.clear()
        if len(batch) > 1:
            self._order.shuffle(batch)
        for handle in batch:
            if handle.cancelled() or _is_of_the_dead(handle):
                continue
            handle._run()
        self._run += len(batch)
        if self._run > MOST_CALLBACKS:
            raise Stuck(f"{self._run} callbacks and no end in sight at {self._now:.1f} s")

    def _jump(self) -> None:
        while self._scheduled and (self._scheduled[0].cancelled() or _is_of_the_dead(self._scheduled[0])):
            heapq.heappop(self._scheduled)._scheduled = False  # type: ignore[attr-defined]
        if self._scheduled:
            self._now = max(self._now, self._scheduled[0].when())
        elif not self._stopping:  # type: ignore[attr-defined]
            raise Stuck("nothing is ready and nothing is due")

    def _new_task(self, loop: Any, work: Any, **options: Any) -> "asyncio.Task[Any]":
        # Kept alive to the end: what is collected when the collector likes is not deterministic.
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        self._all_tasks.append(task)
        return task

    def _note_failure(self, _loop: Any, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    # What a selector would need, and nothing here does.
    def _process_events(self, event_list: Any) -> None: ...

    def _write_to_self(self) -> None: ...


def _is_of_the_dead(handle: asyncio.Handle) -> bool:
    process = handle._context.get(_PROCESS)  # type: ignore[attr-defined]
    return process is not None and not process.alive
