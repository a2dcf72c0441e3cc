"""What projects may still start by their budgets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from contracts.tasks import Phase


@dataclass(frozen=True)
class Terms:
    """On which projects' tasks are started."""

    room: Mapping[str, float] = field(default_factory=dict)
    """GPU-seconds that may still be started, of those projects that have a budget."""
    age_from: Mapping[str, datetime] = field(default_factory=dict)
    """Ageing counts from then on, by project: who has waited for its own budget has not waited for others, and does not
    rise above them for it."""


def still_uncharged(phase: Phase, heard_at: datetime, run_seconds: float, now: datetime) -> float:
    """What a run that a worker has will be charged beyond what it was: each of its phases is charged when it ends.

    At least what it has taken already, should it take longer than was thought.
    """
    taken = max(0.0, (now - heard_at).total_seconds())
    if phase is Phase.ASSIGNED:
        return run_seconds
    return taken if phase is Phase.ENCODING else max(run_seconds, taken)
