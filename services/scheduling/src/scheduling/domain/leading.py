"""Which replica leads, by a lease that needs no clocks to agree.

The leader raises a number, its beat, again and again. Who sees the same holder and the same beat for the
whole lease, by its own clock, may take over. No moment is ever compared with another replica's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

NOBODY = ""


@dataclass(frozen=True)
class Leadership:
    """What is written down about who leads. Changed only by who knows exactly what stood there."""

    holder: str
    beat: int


@dataclass(frozen=True)
class Seen:
    """What a replica saw written down, and since when it has seen nothing else, by its own clock."""

    leadership: Leadership | None
    since: datetime


def see(before: Seen | None, found: Leadership | None, now: datetime) -> Seen:
    """A clock that was set back begins to count anew."""
    if before is not None and before.leadership == found and before.since <= now:
        return before
    return Seen(found, now)


def claim(replica: str, seen: Seen, now: datetime, lease: timedelta) -> Leadership | None:
    """What the replica should write in place of what it saw, or none while somebody else leads."""
    found = seen.leadership
    if found is None:
        return Leadership(replica, 1)
    if found.holder in (replica, NOBODY) or now - seen.since >= lease:
        return Leadership(replica, found.beat + 1)
    return None


def must_beat(beaten_at: datetime, now: datetime, lease: timedelta) -> bool:
    return abs(now - beaten_at) >= lease / 3


def still_leads(beaten_at: datetime, now: datetime, lease: timedelta) -> bool:
    """A leader stops by itself well before anybody can have waited for the whole lease."""
    return abs(now - beaten_at) < lease * 2 / 3
