"""How an endpoint is doing, and what follows: trying, probing, or leaving it alone.

An endpoint that only fails is paused: of all that waits for it a single delivery is tried, after a
while and then at growing intervals, until one is accepted. One that has only failed for days is
disabled, and a ping asks now and then whether it is back.
"""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from contracts.webhooks import EndpointState

from notification.domain.deliveries import Answer

PAUSE_AFTER = 5
"""Failures in a row."""
FIRST_PROBE = timedelta(seconds=30)
PROBE_FRACTION = 0.25
"""Of the time that it has failed: whoever is away for an hour is asked every quarter of an hour."""
LONGEST_PROBE = timedelta(hours=1)
LEAST_FAILURES = 10
"""An endpoint that is hardly ever told anything is not judged by a handful of tries."""
PING_EVERY = timedelta(hours=1)
PING_FOR = timedelta(days=7)
JITTER = 0.1


class Off(StrEnum):
    """Who switched an endpoint off."""

    PROJECT = "project"
    RECEIVER = "receiver"
    FAILURES = "failures"


@dataclass(frozen=True)
class Health:
    failures: int = 0
    """In a row."""
    failing_since: datetime | None = None
    probe_due: datetime | None = None
    """Set while it is paused, and while it is disabled and asked whether it is back."""
    off: Off | None = None
    off_since: datetime | None = None
    disabled_because: str | None = None

    @property
    def state(self) -> EndpointState:
        if self.off is not None:
            return EndpointState.DISABLED
        return EndpointState.FAILING if self.failing_since is not None else EndpointState.HEALTHY

    @property
    def hears(self) -> bool:
        """Whether what happens is written down for it: also while it may yet come back by itself."""
        return self.off is None or self.probe_due is not None

    @property
    def comes_back(self) -> bool:
        """Whether things wait for it that go out as soon as it accepts one."""
        return self.probe_due is not None or self.off is Off.FAILURES


HEALTHY = Health()


def switched_off(now: datetime) -> Health:
    return Health(off=Off.PROJECT, off_since=now, disabled_because="switched off by the project")


def moved(health: Health, now: datetime) -> Health:
    """Of an endpoint whose address was changed: what the old one did says nothing of the new one."""
    if health.off is None:
        return HEALTHY
    return replace(health, probe_due=now) if health.off is Off.FAILURES else health


def nothing_to_probe_with(health: Health) -> Health:
    """Paused, and nothing waits: the next delivery is tried as any other."""
    return replace(health, probe_due=None) if health.off is None else health


def after_try(
    health: Health, answer: Answer, now: datetime, disable_after: timedelta, randomness: random.Random
) -> Health:
    """What a try says of its endpoint, be it a delivery or a ping."""
    if health.off in (Off.PROJECT, Off.RECEIVER):
        return health
    if answer.accepted:
        return HEALTHY
    if answer.gone:
        return Health(off=Off.RECEIVER, off_since=now, disabled_because="the receiver answered 410 Gone")
    jitter = 1 + randomness.uniform(0, JITTER)
    if health.off_since is not None:
        asked_long_enough = now - health.off_since >= PING_FOR
        return replace(health, probe_due=None if asked_long_enough else now + PING_EVERY * jitter)
    since, failures = health.failing_since or now, health.failures + 1
    if now - since >= disable_after and failures >= LEAST_FAILURES:
        return _disabled(since, failures, answer, now)
    pauses = [health.probe_due] if health.probe_due and health.probe_due > now else []
    if failures >= PAUSE_AFTER:
        pauses.append(now + min(max(FIRST_PROBE, (now - since) * PROBE_FRACTION), LONGEST_PROBE) * jitter)
    if answer.wants_peace:
        pauses.append(now + answer.wants_peace)
    return replace(health, failures=failures, failing_since=since, probe_due=max(pauses, default=None))


def _disabled(since: datetime, failures: int, answer: Answer, now: datetime) -> Health:
    last = answer.detail if answer.status is None else f"{answer.status} {answer.detail}"
    because = f"nothing was accepted in {failures} tries since {since:%Y-%m-%d %H:%M} UTC; the last answer: {last}"
    return Health(failures, since, now + PING_EVERY, Off.FAILURES, now, because)
