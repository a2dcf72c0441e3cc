"""Which waiting task goes to which worker.

Priority first; within a priority the project that has used the fewest GPU-seconds lately, counting
what it runs right now; within a project the longest waiting. Ageing lifts whoever waits too long, so
that nothing waits for ever. A loaded model is preferred while that is worth more than it costs.

What a project's budget does not allow is left out, as if it did not wait.

Only when every free worker has been given a task, others go along with these where a forward pass has room.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from scheduling.domain.riding import Batch, Shares, Turn, Waiting, riders

HIGHEST_RANK = 2
NO_BUDGETS: Mapping[str, float] = MappingProxyType({})
PATIENCE_IN_LOADS = 4
"""How many loading times a task lets others go first because their model is loaded."""


@dataclass(frozen=True)
class FreeWorker:
    worker_id: str
    models: frozenset[str]
    warm: frozenset[str]
    slots: int
    memory_mb: int = 0


@dataclass(frozen=True)
class Pairing:
    task_id: str
    worker_id: str
    goes_with: str | None = None
    """The task whose forward pass it shares, itself for the one that others go along with."""
    together: int = 1


def match(
    waiting: Iterable[Waiting],
    workers: Iterable[FreeWorker],
    usage: Mapping[str, float],
    now: datetime,
    ageing: timedelta,
    room: Mapping[str, float] = NO_BUDGETS,
) -> list[Pairing]:
    """Pairs tasks with free slots until one of the two runs out, then adds those that go along, all in turn.

    `usage` holds GPU-seconds by project: what it used lately and what its running tasks will use. `room` holds what
    its budget still allows to start, if it has one.
    """
    shares = Shares(dict(usage), dict(room))
    queue = [task for task in waiting if shares.allow(task)]
    started: list[tuple[Waiting, Batch]] = []
    free = {worker.worker_id: worker for worker in workers if worker.slots > 0}
    while queue and free:
        queue.sort(key=lambda task: _turn(task, shares.spent, now, ageing))
        chosen = next(((task, able) for task in queue if (able := _able(task, free.values()))), None)
        if chosen is None:
            break
        head, able = chosen
        worker = min(able, key=lambda candidate: _cost_of_switching(head, candidate))
        task = _better_use(head, worker, queue, now, ageing)
        started.append((task, Batch(worker.worker_id, worker.models, [task])))
        queue.remove(task)
        shares.start(task)
        queue = [other for other in queue if shares.allow(other)]
        _take_slot(free, worker, task)
    batches = [batch for _, batch in started]
    started += riders(
        batches,
        queue,
        shares,
        rank_of=lambda task: _aged_rank(task, now, ageing),
        turn=lambda task: _turn(task, shares.spent, now, ageing),
    )
    return [_pairing(task, batch) for task, batch in started]


def _pairing(task: Waiting, batch: Batch) -> Pairing:
    if len(batch.members) == 1:
        return Pairing(task.task_id, batch.worker_id)
    return Pairing(task.task_id, batch.worker_id, batch.members[0].task_id, len(batch.members))


def _turn(task: Waiting, spent: Mapping[str, float], now: datetime, ageing: timedelta) -> Turn:
    return (-_aged_rank(task, now, ageing), spent.get(task.project_id, 0.0), task.since, task.task_id)


def _aged_rank(task: Waiting, now: datetime, ageing: timedelta) -> int:
    waited = now - max(task.since, task.ages_from or task.since)
    return min(HIGHEST_RANK, task.rank + int(max(timedelta(), waited) / ageing))


def _able(task: Waiting, workers: Iterable[FreeWorker]) -> list[FreeWorker]:
    return [worker for worker in workers if _can_run(worker, task)]


def _can_run(worker: FreeWorker, task: Waiting) -> bool:
    return task.model in worker.models and worker.memory_mb > task.above_mb


def _cost_of_switching(task: Waiting, worker: FreeWorker) -> tuple[bool, bool, int, str]:
    """No GPU for what needs none, if that can be; a worker with the model loaded first; else the one that has least
    loaded to lose."""
    wasted = worker.memory_mb > 0 and not task.uses_gpu
    return (wasted, task.model not in worker.warm, len(worker.warm), worker.worker_id)


def _better_use(
    head: Waiting, worker: FreeWorker, queue: Sequence[Waiting], now: datetime, ageing: timedelta
) -> Waiting:
    """The head of the queue, unless the worker would have to load its model while others could start at once.

    Going first saves everybody behind it the reloading of its model and costs the head its run. The
    head lets others pass only for a few loading times, so that a busy model cannot starve a rare one.
    """
    patience = timedelta(seconds=head.load_seconds * PATIENCE_IN_LOADS)
    if head.model in worker.warm or now - head.since > patience:
        return head
    rank = _aged_rank(head, now, ageing)
    peers = [task for task in queue if _aged_rank(task, now, ageing) == rank and task is not head]
    for task in peers:
        if task.model in worker.warm and _can_run(worker, task) and task.load_seconds * len(peers) > task.run_seconds:
            return task
    return head


def _take_slot(free: dict[str, FreeWorker], worker: FreeWorker, task: Waiting) -> None:
    left = replace(worker, slots=worker.slots - 1, warm=worker.warm | {task.model})
    if left.slots:
        free[worker.worker_id] = left
    else:
        del free[worker.worker_id]
