"""Gives waiting tasks to free workers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from chassis.about import about_task
from contracts.catalog import Catalog, ModelEntry
from contracts.errors import IllegalTransition, NotFound, RetryableError
from contracts.events import Assignment, assignment, queue_grew, task_changed
from contracts.media import Medium
from contracts.pauses import Pauses
from contracts.ports import Clock, Publisher
from contracts.records import TaskRecords
from contracts.tasks import Assign, Phase, Task, context_of
from contracts.topics import App
from contracts.tracing import OFF, Span, TraceContext, Tracer

from scheduling.domain.budgets import Terms
from scheduling.domain.matching import FreeWorker, Pairing, match
from scheduling.domain.riding import Waiting
from scheduling.domain.slots import Held, free_slots, says_free
from scheduling.domain.watching import look_again_at
from scheduling.handlers.budgeting import Budgeting
from scheduling.handlers.pausing import Pausing
from scheduling.ports import Entry, HeardWorker, Ledger, Queue, Workers

log = structlog.get_logger(__name__)

MOST_ALIKE = 8, 64
"""How many tasks of the same project, priority and model one pass looks at, at least and at most; the next pass
sees the rest."""
PAUSE_SECONDS = 1.0
ON_DEVICE = (Phase.ASSIGNED, Phase.LOADING_MODEL, Phase.GENERATING)


class Wishes:
    """Media that want a matching pass, here or by the leader. Many wishes for one medium make one pass."""

    def __init__(self) -> None:
        self._media: dict[Medium, None] = {}
        self._any = asyncio.Event()

    def add(self, medium: Medium) -> None:
        self._media[medium] = None
        self._any.set()

    async def next(self) -> Medium:
        """The medium that has waited longest."""
        await self._any.wait()
        medium = next(iter(self._media))
        del self._media[medium]
        if not self._media:
            self._any.clear()
        return medium


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
    budgeting: Budgeting
    pausing: Pausing
    workers: Workers
    publisher: Publisher
    note: Callable[[Task], Awaitable[None]]
    wake_at: Callable[[datetime], None]
    leads: Callable[[], bool]
    clock: Clock
    policy: Policy
    wishes: Wishes
    tracer: Tracer = OFF

    async def keep_matching(self) -> None:
        """Runs for as long as the service does: a pass whenever something may have changed.

        A replica that does not lead tells the one that does. Should nobody lead, nothing is lost: who
        takes over matches everything.
        """
        while True:
            medium = await self.wishes.next()
            try:
                if self.leads():
                    await self.match_once(medium)
                else:
                    await self.publisher.publish(queue_grew(medium, App.SCHEDULING, self.clock.now()))
            except RetryableError as error:
                log.warning("matching is put off", medium=medium.value, reason=error.detail)
                await asyncio.sleep(PAUSE_SECONDS)
                self.wishes.add(medium)

    async def match_once(self, medium: Medium) -> None:
        """One pass over one medium: everything that waits against every free slot."""
        available = self.workers.available(medium)
        workers = [worker for worker in available if says_free(worker.status)]
        if not workers:
            return
        now = self.clock.now()
        pauses = await self.pausing.now()
        waiting_at_all = await self.queue.ready(medium, now, self._most_alike(medium, len(workers)))
        ready = [one for one in waiting_at_all if pauses.over(one.project_id, one.medium, one.model) is None]
        if not ready:
            return
        held = await self.queue.held(medium)
        # A model may have left the catalog while tasks for it waited; no worker offers it then.
        largest_mb = max(worker.status.device.vram_total_mb for worker in available)
        terms = await self.budgeting.terms(dict.fromkeys(entry.project_id for entry in ready))
        models = ((entry, self.catalog.get(entry.model)) for entry in ready)
        waiting = [_waiting(entry, model, largest_mb, terms, pauses) for entry, model in models if model]
        usage = await self._usage(held)
        entries = {entry.task_id: entry for entry in ready}
        assigned = list[Task]()
        for pairing in match(waiting, _free_workers(workers, held), usage, now, self.policy.ageing, terms.room):
            if not self.leads():
                break
            first = entries.get(pairing.goes_with or "")
            # The first one's attempt tells the batch from another that it led before.
            batch = f"{first.task_id}:{first.attempt + 1}" if first else None
            if (task := await self._assign(pairing, entries[pairing.task_id], batch)) is not None:
                assigned.append(task)
        self._tell(medium, assigned, now, waited=len(ready), workers=len(workers))

    def _tell(self, medium: Medium, assigned: Sequence[Task], start: datetime, *, waited: int, workers: int) -> None:
        """A pass is for all that wait, so it belongs into nobody's trace, and names those that it was good for."""
        links = [context for task in assigned if (context := context_of(task)) and context.sampled]
        if links:
            trace = TraceContext.beginning("match", medium.value, start.isoformat(), sampled=True).child("match")
            about = {"movie_tasks.medium": medium.value, "movie_tasks.waited": waited, "movie_tasks.workers": workers}
            self.tracer.tell(Span("match", trace, None, start, self.clock.now(), attributes=about, links=links))

    def _most_alike(self, medium: Medium, workers: int) -> int:
        """As many as could fill every forward pass that may begin now."""
        least, most = MOST_ALIKE
        largest = max((model.batching.max for model in self.catalog.models if model.medium is medium), default=1)
        return min(most, max(least, workers * largest))

    async def _assign(self, pairing: Pairing, entry: Entry, batch: str | None) -> Task | None:
        """The task as it is assigned now, unless something else had come of it."""

        def as_heard(found: Task) -> Assign:
            if found.attempt != entry.attempt:
                raise IllegalTransition(f"task {found.id} has had another attempt meanwhile")
            return Assign(pairing.worker_id, self.clock.now() + self.policy.start_within)

        try:
            task = await self.tasks.change(entry.task_id, as_heard)
        except (IllegalTransition, NotFound):
            await self._catch_up(entry)
            return None
        with about_task(task):
            await self._say(task, pairing, entry.medium, batch)
        return task

    async def _say(self, task: Task, pairing: Pairing, medium: Medium, batch: str | None) -> None:
        await self.note(task)
        assigned = Assignment(
            worker_id=pairing.worker_id,
            medium=medium,
            project_id=task.project_id,
            task_id=task.id,
            attempt=task.attempt,
            lease_seconds=self.policy.lease.total_seconds(),
            batch=batch,
            together=pairing.together,
        )
        # Announced first: heard after the end of a quick run, this would bring a forgotten task back into the queue,
        # where it holds its worker's slot for a while.
        await self.publisher.publish(task_changed(task, App.SCHEDULING))
        await self.publisher.publish(assignment(assigned, task, App.SCHEDULING, self.clock.now()))
        log.info("task assigned", worker_id=pairing.worker_id, together=pairing.together)

    async def _catch_up(self, entry: Entry) -> None:
        """What was heard of the task is not what its record says: believe the record, and match again."""
        task = await self.tasks.get(entry.task_id)
        log.warning("heard of a task what its record does not say", task_id=entry.task_id)
        now = self.clock.now()
        if task is None:
            await self.queue.remove(entry.task_id)
        else:
            look_at = look_again_at(task, now, now, self.policy.lease)
            await self.queue.correct(task, entry.seq, now, look_at)
            self.wake_at(look_at)
        self.wishes.add(entry.medium)

    async def _usage(self, held: Sequence[Entry]) -> dict[str, float]:
        now = self.clock.now()
        used = (await self.ledger.all()).items()
        usage = {project_id: usage.now(now, self.policy.usage_half_life) for project_id, usage in used}
        for entry in held:
            model = self.catalog.get(entry.model)
            will_use = model.run_seconds if model else 0.0
            usage[entry.project_id] = usage.get(entry.project_id, 0.0) + will_use
        return usage


def _waiting(entry: Entry, model: ModelEntry, largest_mb: int, terms: Terms, pauses: Pauses) -> Waiting:
    """What fitted no device that there is now goes to any: it may fit the next time, or fail for good."""
    resumed = pauses.ages_from(entry.project_id, entry.medium, entry.model)
    began = [moment for moment in (terms.age_from.get(entry.project_id), resumed) if moment is not None]
    return Waiting(
        task_id=entry.task_id,
        project_id=entry.project_id,
        model=entry.model,
        rank=entry.rank,
        since=entry.since,
        run_seconds=model.run_seconds,
        load_seconds=model.load_seconds,
        company=entry.company,
        uses_gpu=model.needs.vram_mb > 0,
        above_mb=entry.outgrown_mb if 0 < entry.outgrown_mb < largest_mb else -1,
        ages_from=max(began, default=None),
    )


def _free_workers(workers: Sequence[HeardWorker], entries: Sequence[Entry]) -> list[FreeWorker]:
    held = [
        Held(entry.worker_id, entry.task_id, entry.attempt, entry.phase_heard_at)
        for entry in entries
        if entry.worker_id is not None and entry.phase in ON_DEVICE
    ]
    return [
        FreeWorker(
            worker_id=worker.status.worker_id,
            models=frozenset(worker.status.models),
            warm=frozenset(worker.status.warm_models),
            slots=free,
            memory_mb=worker.status.device.vram_total_mb,
        )
        for worker in workers
        if (free := free_slots(worker.status, worker.heard_at, held)) > 0
    ]
