"""Operators who pause and resume, and that nothing is started that has been paused for a while."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.media import Medium
from contracts.pauses import Pause, PauseKind, Pauses
from contracts.tasks import Task

from tests.simulation.network import BEGIN, Network
from tests.simulation.stores import PAUSES, SimulatedState

SEEN_WITHIN_SECONDS = 60.0
"""A pass that began before a pause may go on for so long, as answers are slow."""


@dataclass
class PauseWatch:
    _said: list[tuple[float, Pauses]] = field(default_factory=lambda: [(0.0, Pauses())])

    def said(self, pauses: Pauses, now: float) -> None:
        self._said.append((now, pauses))

    def saved(self, before: Task, after: Task, now: float) -> str | None:
        """What is wrong, if this starts what is paused and was all the while."""
        if after.attempt == before.attempt:
            return None
        lately = [pauses for at, pauses in self._said if at > now - SEEN_WITHIN_SECONDS]
        earlier = [pauses for at, pauses in self._said if at <= now - SEEN_WITHIN_SECONDS]
        paused = [one.over(after.project_id, after.medium, after.model) for one in lately + earlier[-1:]]
        return f"{after.id[:4]} is started although it is paused" if all(paused) else None


class Pausers:
    """Each pauses something, and resumes it when nothing fails any more at the latest."""

    def __init__(self, randomness: random.Random, state: SimulatedState, network: Network) -> None:
        self._randomness = randomness
        self._state, self._network = state, network
        self._pauses = Pauses()
        state.create_at_once(PAUSES, self._pauses.model_dump_json().encode())

    async def pause_now_and_then(self, projects: Sequence[str], media: Sequence[Medium], until: float) -> None:
        for _ in range(self._randomness.choice((0, 0, 1, 2))):
            await asyncio.sleep(self._randomness.uniform(0.0, until / 3))
            kind, target = self._randomness.choice(
                [*((PauseKind.PROJECT, one) for one in projects), *((PauseKind.MEDIUM, one.value) for one in media)]
            )
            self._network.note(f"an operator pauses {target}")
            self._say(self._pauses.paused(Pause(kind=kind, target=target, since=self._now(), by="ada")))
            await asyncio.sleep(self._randomness.uniform(0.0, until))
            self._network.note(f"an operator resumes {target}")
            self._say(self._pauses.resumed(kind, target, self._now()))

    def _now(self) -> datetime:
        return BEGIN + timedelta(seconds=self._network.loop.time())

    def _say(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._state.replace_at_once(PAUSES, pauses.model_dump_json().encode())
