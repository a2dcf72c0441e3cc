"""Which slots of a worker are free, by what it says and by what it was given."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.workers import WorkerStatus

NOTICED_WITHIN = timedelta(seconds=3)
"""How long after a task was given to it, or begun, a worker's heartbeat may not name it yet."""


@dataclass(frozen=True)
class Held:
    """A task attempt that was given to a worker and has not left its device as far as is known."""

    worker_id: str
    task_id: str
    attempt: int
    since: datetime
    """When scheduling heard of it."""


def says_free(worker: WorkerStatus) -> bool:
    return worker.slots > sum(run.on_device for run in worker.runs)


def free_slots(worker: WorkerStatus, heard_at: datetime, held: Iterable[Held]) -> int:
    """The worker knows best about what it names; what it does not name yet counts for a moment longer.

    `heard_at` is when scheduling heard the worker say so: the worker's own clock may show another time.
    """
    named = {(run.task_id, run.attempt) for run in worker.runs}
    used = {(run.task_id, run.attempt) for run in worker.runs if run.on_device}
    for one in held:
        key = (one.task_id, one.attempt)
        unnoticed = heard_at - one.since < NOTICED_WITHIN
        if one.worker_id == worker.worker_id and key not in named and unnoticed:
            used.add(key)
    return worker.slots - len(used)
