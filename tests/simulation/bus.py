"""The broker and the sidecars around it.

A durable broker keeps an event until each service has answered for it; one in memory forgets what is
said while nobody listens, and everything when the process dies with which it lives. A broadcast reaches
the replicas that live and listen when it is sent, or does not.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from chassis.deliveries import Answer
from contracts.errors import DependencyUnavailable
from contracts.events import Message
from contracts.topics import DEAD_LETTERS, Component, Topic

from tests.simulation.loop import Process, current_process
from tests.simulation.network import Network

AGAIN_SECONDS = 0.5
MOST_TRIES = 240
DELIVERY_TIMEOUT_SECONDS = 30.0


class Died(Exception):
    """The process that was asked died before it answered."""


class Listener(Protocol):
    """A replica of an app, with its sidecar."""

    app: str
    name: str
    process: Process | None

    @property
    def up(self) -> bool: ...

    def hears(self, topic: Topic) -> bool: ...

    async def deliver(self, topic: Topic, body: bytes) -> Answer:
        """Raises `Died`."""


class Observing(Protocol):
    def published(self, who: str, message: Message) -> None: ...

    def dead_lettered_by_sidecar(self, app: str, topic: Topic, body: bytes) -> None: ...


class SimulatedBus:
    """The `Publisher` port of everybody."""

    def __init__(self, network: Network, observing: Observing, durable: bool) -> None:
        self.listeners: Sequence[Listener] = ()
        self._network = network
        self._observing = observing
        self._durable = durable
        self._lives = 0
        """A broker in memory dies with its process; what it held belongs to an earlier life."""
        self.under_way = 0

    async def publish(self, message: Message) -> None:
        process = current_process()
        who = process.name if process else "-"
        await self._network.call("bus", lambda: self.accept(message, who))

    async def check(self) -> None:
        process = current_process()
        await self._network.call("bus", lambda: None)
        if not any(one.up and one.process is process for one in self.listeners):
            raise DependencyUnavailable("the sidecar delivers nothing yet")

    def accept(self, message: Message, who: str) -> None:
        self._observing.published(who, message)
        topic, body = message.topic, message.event.model_dump_json(exclude_none=True).encode()
        if topic.component is Component.BROADCAST:
            self._broadcast(topic, body)
        elif self._durable or not self._network.faults.happens("message lost", self._network.loop.time()):
            listening = [one for one in self.listeners if one.hears(topic) and (self._durable or one.up)]
            for app in dict.fromkeys(one.app for one in listening):
                self._network.loop.spawn(None, self._until_answered(app, topic, body))

    def die(self) -> None:
        self._lives += 1

    def _broadcast(self, topic: Topic, body: bytes) -> None:
        for one in self.listeners:
            if one.up and one.hears(topic):
                self._network.loop.spawn(None, self._once(one, one.process, topic, body))

    async def _once(self, listener: Listener, process: Process | None, topic: Topic, body: bytes) -> None:
        faults, loop = self._network.faults, self._network.loop
        for _ in range(2 if faults.happens("message repeated", loop.time()) else 1):
            await asyncio.sleep(self._delay())
            if faults.happens("broadcast lost", loop.time()):
                return
            if not listener.up or listener.process is not process or self._cut_off(listener):
                return
            if faults.is_away(f"broadcast<-{listener.name}", loop.time()):
                return
            try:
                await listener.deliver(topic, body)
            except Died:
                return

    async def _until_answered(self, app: str, topic: Topic, body: bytes) -> None:
        life, faults, loop = self._lives, self._network.faults, self._network.loop
        again = faults.happens("message repeated", loop.time())
        self.under_way += 1
        try:
            await asyncio.sleep(self._delay())
            tries = 0
            while tries < MOST_TRIES and life == self._lives:
                replicas = [one for one in self.listeners if one.app == app and one.up and not self._cut_off(one)]
                if replicas:
                    tries += 1
                    if await self._ask(self._network.randomness.choice(replicas), topic, body) is Answer.SUCCESS:
                        if not again:
                            return
                        again, tries = False, 0
                        await asyncio.sleep(self._network.randomness.uniform(0.0, 120.0))
                        continue
                await asyncio.sleep(AGAIN_SECONDS)
            if life == self._lives and topic != DEAD_LETTERS:
                self._observing.dead_lettered_by_sidecar(app, topic, body)
        finally:
            self.under_way -= 1

    async def _ask(self, listener: Listener, topic: Topic, body: bytes) -> Answer | None:
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_SECONDS):
                return await listener.deliver(topic, body)
        except (TimeoutError, Died):
            return None

    def _delay(self) -> float:
        if self._network.faults.happens("message late", self._network.loop.time()):
            return self._network.randomness.choice((1.0, 20.0)) * self._network.randomness.random()
        return self._network.quick()

    def _cut_off(self, listener: Listener) -> bool:
        now = self._network.loop.time()
        return self._network.faults.is_away("bus", now) or self._network.faults.is_away(f"bus<-{listener.name}", now)
