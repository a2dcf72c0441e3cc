"""Deliveries of webhooks: what came back, and when to try again."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

# Standard Webhooks 1.0.0, "Retry schedule": the wait before each further try.
RETRY_AFTER = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
JITTER = 0.1
LONGEST_RETRY_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Answer:
    """What came back from a receiver: a status, or why there is none."""

    status: int | None
    detail: str
    retry_after: timedelta | None = None
    took: timedelta = timedelta()

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """The receiver says that it will never want webhooks again."""
        return self.status == 410

    @property
    def wants_peace(self) -> timedelta | None:
        """For how long the receiver wants to hear nothing at all."""
        return self.retry_after if self.status in (429, 503) else None


def next_try(
    tries: int, answer: Answer, now: datetime, randomness: random.Random, *, hopeless: bool = True
) -> datetime | None:
    """When to try again after the `tries`-th try has failed; None when enough is enough.

    Not `hopeless` is a delivery whose endpoint accepts nothing at all: that is no fault of the delivery's.
    """
    if answer.gone or (hopeless and tries > len(RETRY_AFTER)):
        return None
    wait = RETRY_AFTER[min(tries, len(RETRY_AFTER)) - 1] * (1 + randomness.uniform(0, JITTER))
    return now + max(wait, answer.retry_after or timedelta())


def read_retry_after(header: str | None, date: str | None = None) -> timedelta | None:
    """The wait that a receiver asks for, a day at most: seconds, or a moment.

    A moment is compared with the receiver's own `Date`, so that nobody's clock matters.
    """
    if header is None or not header.isascii():
        return None
    if header.isdigit():
        return min(timedelta(seconds=int(header[:9])), LONGEST_RETRY_AFTER)
    try:
        wait = parsedate_to_datetime(header) - parsedate_to_datetime(date or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta()), LONGEST_RETRY_AFTER)
