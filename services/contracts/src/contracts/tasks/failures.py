"""Why attempts fail, where more than one service may say so."""

from contracts.errors import Problem

WORKER_LOST = Problem.of(
    "worker-lost",
    "The worker was lost",
    "Nothing was heard of the worker for the length of its lease; another one takes over.",
    retryable=True,
)
TIME_LIMIT_EXCEEDED = Problem.of(
    "time-limit-exceeded",
    "The time limit was exceeded",
    "The run took longer than the model's time limit and was stopped. Ask for fewer steps, frames or pixels.",
    retryable=False,
)
TOO_LONG_TOGETHER = Problem.of(
    "time-limit-exceeded-together",
    "The forward pass took too long",
    "It was shared with other tasks. The next attempt is run alone, and has the whole time limit for itself.",
    retryable=True,
)
