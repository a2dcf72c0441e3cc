"""Which replica leads, by a lease that needs no clocks to agree.

The leader raises a number, its beat, again and again. Who sees the same holder and the same beat for the
whole lease, by its own clock, may take over. The leader's time goes with each beat, so that what replicas
write into the tables they share is by one clock; who leads is never decided by it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

NOBODY = ""
AGREE_WITHIN = timedelta(seconds=2)
"""Clocks that seem to differ by less are taken as one: a beat is seen a moment after it was made."""


@dataclass(frozen=True)
class Leadership:
    """What is written down about who leads. Changed only by who knows exactly what stood there."""

    holder: str
    beat: int
    at: datetime
    """The time that the replicas share, when this was written."""


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


def leaders_clock_ahead(replica: str, before: Seen | None, found: Leadership | None, now: datetime) -> timedelta | None:
    """How far the leader's clock is ahead of the replica's own, or none when this tells nothing.

    What stood there at the first look may be old; only a change is known to be fresh.
    """
    if before is None or found is None or found == before.leadership or found.holder == replica:
        return None
    ahead = found.at - now
    return ahead if abs(ahead) > AGREE_WITHIN else timedelta()


def claim(replica: str, seen: Seen, now: datetime, shared_now: datetime, lease: timedelta) -> Leadership | None:
    """What the replica should write in place of what it saw, or none while somebody else leads."""
    found = seen.leadership
    if found is None:
        return Leadership(replica, 1, shared_now)
    if found.holder in (replica, NOBODY) or now - seen.since >= lease:
        return Leadership(replica, found.beat + 1, shared_now)
    return None


def must_beat(beaten_at: datetime, now: datetime, lease: timedelta) -> bool:
    return abs(now - beaten_at) >= lease / 3


def still_leads(beaten_at: datetime, now: datetime, lease: timedelta) -> bool:
    """A leader stops by itself well before anybody can have waited for the whole lease."""
    return abs(now - beaten_at) < lease * 2 / 3
