"""The way from a process to what it depends on, and back: slow, lossy, and cut off at times.

What was sent happens whether or not its sender lives to hear the answer.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from contracts.errors import DependencyUnavailable, MovieTasksError

from tests.simulation.faults import Faults
from tests.simulation.loop import Process, VirtualLoop, current_process
from tests.simulation.trace import Trace

CALL_TIMEOUT_SECONDS = 15.0
BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)

Result = TypeVar("Result")


@dataclass(frozen=True)
class SkewedClock:
    """The virtual time, as a service with a wrong clock sees it."""

    loop: VirtualLoop
    skew: float = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.loop.time() + self.skew)


@dataclass
class Network:
    loop: VirtualLoop
    randomness: random.Random
    faults: Faults
    trace: Trace
    kill: Callable[[Process], None] = lambda _process: None

    def note(self, what: str) -> None:
        process = current_process()
        self.trace.add(self.loop.time(), process.name if process else "-", what)

    def quick(self) -> float:
        """How long a healthy answer takes."""
        return self.randomness.uniform(0.0005, 0.01)

    async def call(self, dependency: str, act: Callable[[], Result]) -> Result:
        """What `act` returns or raises, done at the other end. Raises `DependencyUnavailable`."""
        process, now = current_process(), self.loop.time()
        name = process.name.partition("#")[0] if process else "-"
        if self.faults.is_away(dependency, now) or self.faults.is_away(f"{dependency}<-{name}", now):
            await asyncio.sleep(self.randomness.choice((0.01, 1.0, CALL_TIMEOUT_SECONDS)))
            raise DependencyUnavailable(f"{dependency} is away")
        there, back = self.quick(), self.quick()
        if self.faults.happens("slow answer", now):
            there += self.randomness.uniform(0.1, 8.0)
        if self.faults.happens("request lost", now):
            self.note(f"a request to {dependency} is lost")
            await asyncio.sleep(CALL_TIMEOUT_SECONDS)
            raise DependencyUnavailable(f"{dependency} does not answer")
        times = 2 if self.faults.happens("request repeated", now) else 1
        answer_lost = self.faults.happens("answer lost", now)
        if process is not None and self.faults.happens("killed at work", now):
            self.loop.later(self.randomness.uniform(0.0, there + back + 0.005), self.kill, process)
        answer: asyncio.Future[Result] = self.loop.create_future()
        self.loop.later(there, self._arrive, act, answer, back, times)
        if answer_lost:
            await asyncio.sleep(self.randomness.choice((there + back, CALL_TIMEOUT_SECONDS)))
            answer.add_done_callback(_look_away)
            self.note(f"an answer of {dependency} is lost")
            raise DependencyUnavailable(f"{dependency} has not answered")
        return await answer

    def _arrive(self, act: Callable[[], Result], answer: "asyncio.Future[Result]", back: float, times: int) -> None:
        # Sent twice by something on the way, what is answered is the second.
        result: Result | MovieTasksError
        for _ in range(times):
            try:
                result = act()
            except MovieTasksError as error:
                result = error
        self.loop.later(back, _settle, answer, result)


def _settle(answer: "asyncio.Future[Result]", result: Result | MovieTasksError) -> None:
    if answer.done():
        return
    if isinstance(result, MovieTasksError):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _look_away(answer: "asyncio.Future[Result]") -> None:
    if not answer.cancelled():
        answer.exception()
