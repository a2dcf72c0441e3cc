"""Whether and when a failed attempt is followed by another: exponential backoff with jitter."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.errors import Problem
from contracts.tasks.moves import Fail, RetryLater
from contracts.tasks.record import Task


@dataclass(frozen=True)
class Backoff:
    """The n-th wait is drawn between half and all of `first * 2**(n-1)`, never more than `longest`.

    Half of it is kept so that a retry never comes at once; the other half is the jitter of
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("equal jitter").
    """

    first: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(minutes=5)

    def wait(self, failures: int, randomness: random.Random) -> timedelta:
        doublings = min(failures - 1, 30)
        ceiling = min(self.first * (1 << doublings), self.longest)
        return ceiling * randomness.uniform(0.5, 1.0)


def after_failure(
    task: Task,
    attempt: int,
    error: Problem,
    now: datetime,
    backoff: Backoff,
    randomness: random.Random,
    outgrown_mb: int = 0,
) -> RetryLater | Fail:
    """The move that a failed attempt asks for: another attempt while the catalog allows one.

    `attempt` is the one that has failed, which need not be the task's newest; `apply` finds out.
    """
    failures = task.failures + 1
    if not error.retryable or failures >= task.max_failures:
        return Fail(attempt, error)
    return RetryLater(attempt, error, now + backoff.wait(failures, randomness), outgrown_mb)
