"""Gives waiting tasks to free workers."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from contracts.catalog import Catalog, ModelEntry
from contracts.errors import IllegalTransition, NotFound, RetryableError
from contracts.events import Assignment, assignment, task_changed
from contracts.media import Medium
from contracts.ports import Clock, Publisher
from contracts.records import TaskRecords
from contracts.tasks import Assign, Phase, Task
from contracts.topics import App
from contracts.workers import WorkerStatus

from scheduling.domain.matching import FreeWorker, Pairing, Waiting, match
from scheduling.domain.watching import look_again_at
from scheduling.ports import Entry, Ledger, Queue, Workers

log = structlog.get_logger(__name__)

PER_PROJECT = 20
"""How many tasks of each project and priority one pass looks at; more than any pass can place."""
PAUSE_SECONDS = 1.0
USES_A_SLOT = (Phase.LOADING_MODEL, Phase.GENERATING)


@dataclass(frozen=True)
class Policy:
    lease: timedelta
    start_within: timedelta
    ageing: timedelta
    usage_half_life: timedelta


@dataclass(frozen=True)
class Matching:
    catalog: Catalog
    tasks: TaskRecords
    queue: Queue
    ledger: Ledger
    workers: Workers
    publisher: Publisher
    note: Callable[[Task], Awaitable[None]]
    clock: Clock
    policy: Policy
    wanted: asyncio.Event
    """Set by whoever sees that something may have changed; many wishes make one pass."""

    async def keep_matching(self) -> None:
        """Runs for as long as the service does: a pass whenever something may have changed."""
        while True:
            await self.wanted.wait()
            self.wanted.clear()
            try:
                for medium in Medium:
                    await self.match_once(medium)
            except RetryableError as error:
                log.warning("matching is put off", reason=error.detail)
                await asyncio.sleep(PAUSE_SECONDS)
                self.wanted.set()

    async def match_once(self, medium: Medium) -> None:
        """One pass over one medium: everything that waits against every free slot."""
        held = await self.queue.held(medium)
        free = _free_workers(self.workers.available(medium), held)
        if not free:
            return
        now = self.clock.now()
        ready = await self.queue.ready(medium, now, PER_PROJECT)
        # A model may have left the catalog while tasks for it waited; no worker offers it then.
        waiting = [_waiting(entry, model) for entry in ready if (model := self.catalog.get(entry.model))]
        usage = await self._usage(held)
        for pairing in match(waiting, free, usage, now, self.policy.ageing):
            await self._assign(pairing, medium)

    async def _assign(self, pairing: Pairing, medium: Medium) -> None:
        move = Assign(pairing.worker_id, self.clock.now() + self.policy.start_within)
        try:
            task = await self.tasks.change(pairing.task_id, lambda _found: move)
        except (IllegalTransition, NotFound):
            await self._catch_up(pairing.task_id)
            return
        await self.note(task)
        assigned = Assignment(
            worker_id=pairing.worker_id,
            medium=medium,
            project_id=task.project_id,
            task_id=task.id,
            attempt=task.attempt,
            lease_seconds=self.policy.lease.total_seconds(),
        )
        await self.publisher.publish(assignment(assigned, App.SCHEDULING, self.clock.now()))
        log.info("task assigned", task_id=task.id, attempt=task.attempt, worker_id=pairing.worker_id)
        await self.publisher.publish(task_changed(task, App.SCHEDULING))

    async def _catch_up(self, task_id: str) -> None:
        """What was heard of the task is not what its record says: believe the record, and match again."""
        task = await self.tasks.get(task_id)
        log.warning("heard of a task what its record does not say", task_id=task_id)
        if task is None or task.phase.terminal:
            await self.queue.remove(task_id)
        else:
            await self.queue.correct(task, look_again_at(task, self.clock.now(), self.policy.lease))
        self.wanted.set()

    async def _usage(self, held: Sequence[Entry]) -> dict[str, float]:
        now = self.clock.now()
        used = (await self.ledger.all()).items()
        usage = {project_id: usage.now(now, self.policy.usage_half_life) for project_id, usage in used}
        for entry in held:
            model = self.catalog.get(entry.model)
            will_use = model.run_seconds if model else 0.0
            usage[entry.project_id] = usage.get(entry.project_id, 0.0) + will_use
        return usage


def _waiting(entry: Entry, model: ModelEntry) -> Waiting:
    return Waiting(
        task_id=entry.task_id,
        project_id=entry.project_id,
        model=entry.model,
        rank=entry.rank,
        since=entry.since,
        run_seconds=model.run_seconds,
        load_seconds=model.load_seconds,
    )


def _free_workers(workers: Sequence[WorkerStatus], held: Sequence[Entry]) -> list[FreeWorker]:
    """Slots that neither the worker says are used nor have been given away without its knowing yet."""
    using = {(run.task_id, worker.worker_id) for worker in workers for run in worker.runs if run.phase in USES_A_SLOT}
    given = {(entry.task_id, entry.worker_id) for entry in held if entry.phase is Phase.ASSIGNED}
    taken = Counter(worker_id for _, worker_id in using | given)
    return [
        FreeWorker(
            worker_id=worker.worker_id,
            models=frozenset(worker.models),
            warm=frozenset(worker.warm_models),
            slots=worker.slots - taken[worker.worker_id],
        )
        for worker in workers
        if worker.slots > taken[worker.worker_id]
    ]
