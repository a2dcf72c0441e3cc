"""What somebody does with a submission that may die while it is asked."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from contracts.errors import DependencyUnavailable

Submission = TypeVar("Submission")
Step = Callable[[Submission, str], Awaitable[Any]]


async def as_far_as_possible(
    submission: Submission, id_: str, steps: Sequence[Step[Submission]]
) -> Sequence[Step[Submission]]:
    """Returns those that were answered by an error, and what would have followed."""
    for done, step in enumerate(steps):
        try:
            await step(submission, id_)
        except DependencyUnavailable:
            return steps[done:]
    return ()
