"""GPU-seconds a project has used, forgotten by halves."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Usage:
    """`seconds` as they counted at `at`."""

    seconds: float
    at: datetime

    def now(self, now: datetime, half_life: timedelta) -> float:
        halvings = max(timedelta(), now - self.at) / half_life
        return self.seconds * math.pow(0.5, halvings)

    def plus(self, seconds: float, now: datetime, half_life: timedelta) -> "Usage":
        return Usage(self.now(now, half_life) + seconds, max(now, self.at))
