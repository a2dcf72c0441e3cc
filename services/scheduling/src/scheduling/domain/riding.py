"""Which waiting tasks go along with those that start, in the same forward pass.

Who starts is decided before and not put off by this: riders take places that would stay empty. They are
taken in the queue's own order, by as many as fit, and charged like everybody else.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from scheduling.domain.company import ALONE, Company

Turn = tuple[float, float, datetime, str]
"""The smaller comes first."""


@dataclass(frozen=True)
class Waiting:
    """A task that could start now."""

    task_id: str
    project_id: str
    model: str
    rank: int
    """0 for low, 1 for medium, 2 for high priority."""
    since: datetime
    run_seconds: float
    load_seconds: float
    company: Company = ALONE
    uses_gpu: bool = True
    """False for what a worker without a GPU does just as well."""
    above_mb: int = -1
    """It needs a worker with more memory than this."""
    ages_from: datetime | None = None
    """When it began to wait for others, if that is later than `since`."""


@dataclass
class Shares:
    """What projects have of the GPUs, as tasks are started."""

    spent: dict[str, float]
    """GPU-seconds by project: what it used lately and what its running tasks will use."""
    room: dict[str, float]
    """GPU-seconds that may still be started, of those projects that have a budget."""

    def allow(self, task: Waiting) -> bool:
        return task.project_id not in self.room or task.run_seconds <= self.room[task.project_id]

    def start(self, task: Waiting) -> None:
        self.spent[task.project_id] = self.spent.get(task.project_id, 0.0) + task.run_seconds
        if task.project_id in self.room:
            self.room[task.project_id] -= task.run_seconds


@dataclass
class Batch:
    """What a worker starts in one forward pass; mostly one task."""

    worker_id: str
    models: frozenset[str]
    """Those that the worker can run."""
    members: list[Waiting]

    @property
    def alike(self) -> str | None:
        return self.members[0].company.alike

    @property
    def has_room(self) -> bool:
        return len(self.members) < self.members[0].company.most


@dataclass
class _Line:
    """Waiting tasks of which only the one in front is worth looking at: the others have the same claims."""

    rank: int
    project_id: str
    model: str
    company: Company
    tasks: deque[Waiting] = field(default_factory=deque)


def riders(
    batches: Sequence[Batch],
    waiting: Iterable[Waiting],
    shares: Shares,
    rank_of: Callable[[Waiting], int],
    turn: Callable[[Waiting], Turn],
) -> Iterator[tuple[Waiting, Batch]]:
    """Fills the batches, each time with the task whose turn it is and into the emptiest that it fits.

    A larger batch takes longer. So nobody goes along on a worker for which something more urgent waits. Of what
    is as urgent, some may be passed by one batch; it is then their turn, for the batch has been charged in full.
    What its project's budget does not allow waits for no worker.
    """
    lines = _lines(waiting, rank_of)
    while lines := [line for line in lines if shares.allow(line.tasks[0])]:
        roomy = {batch.alike for batch in batches if batch.has_room}
        in_turn = sorted((line for line in lines if line.company.alike in roomy), key=lambda line: turn(line.tasks[0]))
        found = next(((line, batch) for line in in_turn if (batch := _place(line, batches, lines))), None)
        if found is None:
            return
        line, batch = found
        rider = line.tasks.popleft()
        if not line.tasks:
            lines.remove(line)
        batch.members.append(rider)
        shares.start(rider)
        yield rider, batch


def _lines(waiting: Iterable[Waiting], rank_of: Callable[[Waiting], int]) -> list[_Line]:
    lines: dict[tuple[int, str, str, Company], _Line] = {}
    for task in sorted(waiting, key=lambda task: (task.since, task.task_id)):
        claims = (rank_of(task), task.project_id, task.model, task.company)
        lines.setdefault(claims, _Line(*claims)).tasks.append(task)
    return list(lines.values())


def _place(line: _Line, batches: Sequence[Batch], lines: Sequence[_Line]) -> Batch | None:
    fitting = [batch for batch in batches if batch.has_room and batch.alike == line.company.alike]
    fitting.sort(key=lambda batch: len(batch.members))
    return next((batch for batch in fitting if line.rank >= _awaited_by(batch, lines)), None)


def _awaited_by(batch: Batch, lines: Sequence[_Line]) -> int:
    """The rank of the most urgent that waits for the batch's worker and cannot go along."""
    others = (line.rank for line in lines if line.model in batch.models and line.company.alike != batch.alike)
    return max(others, default=0)
