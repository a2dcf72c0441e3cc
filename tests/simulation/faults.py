"""What goes wrong, and how often: drawn from the seed, over by a known moment.

Every run has some kinds of faults and not others, because a fault that always happens hides what
another would have shown.
"""

import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ODDS: Mapping[str, float] = MappingProxyType(
    {
        "killed at work": 0.002,
        "request lost": 0.01,
        "answer lost": 0.01,
        "request repeated": 0.01,
        "conflicting write": 0.03,
        "stale read": 0.03,
        "slow answer": 0.03,
        "message lost": 0.02,
        "message repeated": 0.08,
        "message late": 0.08,
        "broadcast lost": 0.05,
        "ring lost": 0.05,
        "ring repeated": 0.05,
        "ring late": 0.05,
        "engine fails": 0.08,
        "engine out of memory": 0.05,
        "engine breaks": 0.05,
        "engine dies": 0.06,
        "engine hangs": 0.05,
        "engine is slow": 0.08,
        "permanent failure": 0.06,
        "result corrupt": 0.05,
        "receiver refuses": 0.15,
        "receiver hears and fails": 0.1,
        "receiver hangs": 0.1,
    }
)
"""How often each fault happens where it can."""

INCIDENTS: Mapping[str, float] = MappingProxyType(
    {
        "killed": 3.0,
        "restarted": 1.5,
        "cut off from the bus": 1.5,
        "deaf to broadcasts": 2.0,
        "cut off from the state store": 1.0,
        "state store away": 0.8,
        "object store away": 0.8,
        "scheduler away": 0.8,
        "bus away": 0.6,
    }
)
"""How many of each a run has on average, where it has the kind at all."""

OFTEN = 4
SKEW_SECONDS = 60.0


@dataclass
class Faults:
    """Decides what goes wrong. Everything that asks, asks in the seed's order."""

    randomness: random.Random
    until: float
    odds: Mapping[str, float]
    incidents: Mapping[str, int]
    skewed: bool
    counts: Counter[str] = field(default_factory=Counter)
    _away: dict[str, float] = field(default_factory=dict)

    @classmethod
    def drawn(cls, randomness: random.Random, until: float, often: Collection[str] = ()) -> "Faults":
        """Some kinds or none; those that are wanted `often` in any case, and more of them than usual."""
        if randomness.random() < 0.05 and not often:
            return cls.none(randomness)
        fierce = randomness.choice((0.3, 1.0, 1.0, 2.5))
        odds = {kind: odds * fierce for kind, odds in ODDS.items() if randomness.random() < 0.5}
        incidents = {
            kind: round(randomness.expovariate(1 / mean))
            for kind, mean in INCIDENTS.items()
            if randomness.random() < 0.5
        }
        odds |= {kind: OFTEN * ODDS[kind] for kind in often if kind in ODDS}
        incidents |= {kind: round(OFTEN * INCIDENTS[kind]) for kind in often if kind in INCIDENTS}
        return cls(randomness, until, odds, incidents, skewed=randomness.random() < 0.25)

    @classmethod
    def none(cls, randomness: random.Random) -> "Faults":
        return cls(randomness, 0.0, {}, {}, skewed=False)

    def happens(self, kind: str, now: float) -> bool:
        odds = self.odds.get(kind, 0.0)
        if odds == 0.0 or now >= self.until or self.randomness.random() >= odds:
            return False
        self.counts[kind] += 1
        return True

    def skew(self) -> float:
        """How wrong a service's clock is."""
        if not self.skewed:
            return 0.0
        self.counts["clock skewed"] += 1
        return self.randomness.uniform(-SKEW_SECONDS, SKEW_SECONDS)

    def take_away(self, what: str, until: float) -> None:
        self._away[what] = max(until, self._away.get(what, 0.0))

    def is_away(self, what: str, now: float) -> bool:
        return now < self._away.get(what, 0.0)

    def heal(self, now: float) -> None:
        """Nothing fails any more."""
        self.until = min(self.until, now)
        self._away.clear()
