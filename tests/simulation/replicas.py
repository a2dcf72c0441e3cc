"""A replica: one process of one service or of several, with its sidecar; it can be killed and started again."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from chassis.deliveries import Answer, Deliveries, Subscriber, by_topic
from chassis.service import JobHandler, Service
from contracts.errors import DependencyUnavailable, RetryableError
from contracts.ports import Clock, Publisher
from contracts.topics import App, Topic

from tests.simulation.bus import Died
from tests.simulation.composition import Doors
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.trace import Trace

STARTS_AGAIN_SECONDS = 2.0
SUBSCRIBED_AFTER_SECONDS = 0.05
"""daprd asks what to subscribe to only once the process serves."""
SHUT_DOWN_WITHIN_SECONDS = 5.0

Result = TypeVar("Result")
Compose = Callable[[App, Doors], Service]


@dataclass(frozen=True)
class Ports:
    """What deliveries need beside the services."""

    publisher: Publisher
    clock: Clock


class Replica:
    def __init__(
        self, app: str, name: str, apps: Sequence[App], make: Compose, ports: Ports, loop: VirtualLoop, trace: Trace
    ) -> None:
        self.app = app
        self.name = name
        self.process: Process | None = None
        self.doors = Doors()
        self.broken: BaseException | None = None
        """Why the last start failed, where nothing that was away explains it."""
        self._apps = apps
        self._thinned = False
        """Whether some of its services live on nowhere, and jobs of theirs are nobody's."""
        self._make = make
        self._ports = ports
        self._loop = loop
        self._trace = trace
        self._up = False
        self._lives = 0
        self._stop = asyncio.Event()
        self._deliveries: Mapping[Topic, Deliveries] = {}
        self._jobs: Mapping[str, JobHandler] = {}
        self._asked: set[asyncio.Future[Any]] = set()

    @property
    def up(self) -> bool:
        return self._up

    @property
    def leads(self) -> bool:
        """Whether scheduling is here, and leads."""
        return self.process is not None and self.doors.leading is not None and self.doors.leading.leads()

    def hears(self, topic: Topic) -> bool:
        return topic in self._deliveries

    def start(self) -> None:
        self._lives += 1
        self._stop = asyncio.Event()
        self.process = Process(f"{self.name}#{self._lives}")
        self._note("starts")
        self._loop.spawn(self.process, self._live(self.process, self._stop))

    def kill(self) -> None:
        """From one await to the next everything is over."""
        if self.process is None:
            return
        self._note("is killed")
        self._gone()

    async def restart(self, pause: float) -> None:
        """As a rollout does it: asked to stop, killed if that takes too long, started again."""
        process = self.process
        if process is None:
            return
        self._note("is asked to stop")
        self._up = False
        self._stop.set()
        await asyncio.sleep(SHUT_DOWN_WITHIN_SECONDS)
        if self.process is process:
            self.kill()
        await asyncio.sleep(pause)
        if self.process is None:
            self.start()

    def go_on_with(self, wanted: Collection[App]) -> None:
        """Only these services live on, where one of the others was here."""
        if not set(self._apps) <= set(wanted):
            self._apps = [app for app in self._apps if app in wanted]
            self._thinned = True
            self.kill()
            if self._apps:
                self.start()

    @property
    def gone(self) -> bool:
        """Whether none of its services lives on."""
        return not self._apps

    async def deliver(self, topic: Topic, body: bytes) -> Answer:
        return await self.ask(self._deliveries[topic].deliver(body))

    async def ring(self, name: str) -> None:
        """Raises `Died`, and whatever the handler raises."""
        for prefix, handler in self._jobs.items():
            if name.startswith(prefix):
                await self.ask(_call(handler))
                return
        if not self._thinned:
            raise DependencyUnavailable(f"nobody here knows the job {name}")

    async def ask(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What the work inside the process comes to. Raises `Died` when the process dies first."""
        if not self._up or self.process is None:
            work.close()
            raise Died
        answer: asyncio.Future[Result] = self._loop.create_future()
        self._asked.add(answer)
        self._loop.spawn(self.process, work).add_done_callback(lambda done: _hand_over(done, answer))
        try:
            return await answer
        finally:
            self._asked.discard(answer)

    async def _live(self, process: Process, stop: asyncio.Event) -> None:
        try:
            async with AsyncExitStack() as stack:
                self.doors = Doors()
                services = [self._make(app, self.doors) for app in self._apps]
                self._listen(services)
                for service in services:
                    await stack.enter_async_context(service.running())
                await asyncio.sleep(SUBSCRIBED_AFTER_SECONDS)
                self._up = True
                await stop.wait()
        except RetryableError as error:
            self._note(f"cannot go on: {error.detail}")
        except Exception as error:
            self.broken = error
            self._note(f"is broken: {error!r}")
        if self.process is process:
            self._note("has ended")
            self._gone()
            if not stop.is_set():
                self._loop.later(STARTS_AGAIN_SECONDS, self._start_again)

    def _start_again(self) -> None:
        if self.process is None:
            self.start()

    def _gone(self) -> None:
        assert self.process is not None
        self.process.alive = False
        self.process, self._up = None, False
        for engine in self.doors.engines:
            engine.killed()
        for answer in [*self._asked]:
            if not answer.done():
                answer.set_exception(Died())

    def _listen(self, services: Sequence[Service]) -> None:
        subscribers = [Subscriber(service.name, wanted) for service in services for wanted in service.subscriptions]
        ports = self._ports
        self._deliveries = {
            topic: Deliveries(topic, wanting, ports.publisher, ports.clock)
            for topic, wanting in by_topic(subscribers).items()
        }
        self._jobs = {prefix: handler for service in services for prefix, handler in service.jobs.items()}

    def _note(self, what: str) -> None:
        self._trace.add(self._loop.time(), self.name, what)


async def _call(handler: Callable[[], Awaitable[None]]) -> None:
    await handler()


def _hand_over(done: "asyncio.Task[Result]", answer: "asyncio.Future[Result]") -> None:
    if done.cancelled():
        if not answer.done():
            answer.set_exception(Died())
    elif answer.done():
        done.exception()
    elif (error := done.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())
