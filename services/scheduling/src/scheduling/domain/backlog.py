"""What of the queue is work for somebody."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from contracts.media import Medium


class Kind(NamedTuple):
    """Tasks that are alike to those who count them."""

    project_id: str
    medium: Medium
    model: str


def affordable(
    queued: Mapping[Kind, int], run_seconds: Mapping[str, float], room: Mapping[str, float]
) -> Counter[tuple[Medium, str]]:
    """How many tasks of each medium and model may start, of projects that have only so much room in their budgets.

    A model that has left the catalog, and so has no length, runs nowhere. Which of a project's models come first is
    for the matching to say; here it is those with the shortest runs.
    """
    left, may_start = dict(room), Counter[tuple[Medium, str]]()
    known = [(run_seconds[kind.model], kind, tasks) for kind, tasks in queued.items() if kind.model in run_seconds]
    for seconds, kind, tasks in sorted(known):
        of_these = tasks
        if kind.project_id in left:
            of_these = min(tasks, int(max(0.0, left[kind.project_id]) // seconds))
            left[kind.project_id] -= of_these * seconds
        may_start[kind.medium, kind.model] += of_these
    return may_start
