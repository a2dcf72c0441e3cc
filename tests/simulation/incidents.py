"""What happens to processes and to what they depend on, at moments drawn from the seed."""

import asyncio
from collections.abc import Sequence

from contracts.topics import App

from tests.simulation.bus import SimulatedBus
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.replicas import Replica

LONGEST_AWAY_SECONDS = 90.0
"""Shorter than the two minutes after which a sidecar gives an event up."""


class Incidents:
    def __init__(self, network: Network, replicas: Sequence[Replica], bus: SimulatedBus, embedded: bool) -> None:
        self._network = network
        self._replicas = replicas
        self._bus = bus
        self._embedded = embedded

    def kill(self, process: Process) -> None:
        """In the midst of what it does."""
        for replica in self._replicas:
            if replica.process is process:
                self._network.loop.spawn(None, self._happens("killed", replica))

    async def happen(self, kind: str, count: int) -> None:
        """So many of a kind, spread over the troubled time."""
        randomness, faults, loop = self._network.randomness, self._network.faults, self._network.loop
        left = faults.until - loop.time()
        for at in sorted(randomness.uniform(0.0, left) for _ in range(count)):
            await asyncio.sleep(max(0.0, faults.until - left + at - loop.time()))
            if loop.time() >= faults.until:
                return
            faults.counts[kind] += 1
            replica = randomness.choice(self._replicas)
            if kind == "deaf to broadcasts" and randomness.random() < 0.5:
                # Whoever does not hear workers takes them for dead, though they go on.
                replica = randomness.choice([one for one in self._replicas if one.app == App.SCHEDULING] or [replica])
            await self._happens(kind, replica)

    async def _happens(self, kind: str, replica: Replica) -> None:
        randomness, faults, loop = self._network.randomness, self._network.faults, self._network.loop
        pause = randomness.choice((0.5, 5.0, 50.0)) * randomness.random()
        long = min(loop.time() + randomness.uniform(1.0, LONGEST_AWAY_SECONDS), faults.until)
        match kind:
            case "killed":
                replica.kill()
                if self._embedded:
                    self._bus.die()
                await asyncio.sleep(pause)
                if replica.process is None:
                    replica.start()
                return
            case "restarted":
                await replica.restart(pause)
                return
            case "cut off from the bus":
                what = f"bus<-{replica.name}"
            case "deaf to broadcasts":
                what = f"broadcast<-{replica.name}"
            case "cut off from the state store":
                what = f"state store<-{replica.name}"
            case "scheduler away" | "state store away" | "object store away" | "bus away":
                what = kind.removesuffix(" away")
            case _:
                raise AssertionError(kind)
        self._network.note(f"{what} is away until {long:.3f}")
        faults.take_away(what, long)
