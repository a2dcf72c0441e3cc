"""The signing secrets of an endpoint: the newest, and older ones for as long as receivers may still need them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from contracts.errors import InvalidRequest

MOST_SECRETS = 4
"""Valid at once: every delivery carries a signature by each."""


@dataclass(frozen=True)
class Secret:
    """`locked` is the text, encrypted."""

    id: str
    locked: bytes
    created_at: datetime
    expires_at: datetime | None = None
    """None for the newest."""


def valid(secrets: Sequence[Secret], now: datetime) -> tuple[Secret, ...]:
    """The newest first."""
    return tuple(one for one in secrets if one.expires_at is None or one.expires_at > now)


def rotated(secrets: Sequence[Secret], new: Secret, grace: timedelta) -> tuple[Secret, ...]:
    """With the new one, and the others until the grace time is over. Raises `InvalidRequest` for one too many."""
    now = new.created_at
    ends = now + grace
    old = valid([replace(one, expires_at=min(one.expires_at or ends, ends)) for one in secrets], now)
    if len(old) >= MOST_SECRETS:
        raise InvalidRequest(
            f"the endpoint has {len(old)} valid secrets, which is the most; wait until one expires, or end the others "
            "at once by a grace time of 0"
        )
    return (new, *old)
