"""What scheduling hears: tasks' lives and workers' heartbeats. It notes them and wakes the matching."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.events import CloudEvent, TaskChanged, WorkerHeartbeat
from contracts.ports import Clock
from contracts.tasks import Owner, Task

from scheduling.domain.usage import gpu_seconds
from scheduling.domain.watching import look_again_at
from scheduling.ports import Ledger, Queue, Workers


@dataclass(frozen=True)
class Listening:
    queue: Queue
    ledger: Ledger
    workers: Workers
    wake_at: Callable[[datetime], None]
    match_soon: Callable[[], None]
    clock: Clock
    lease: timedelta

    async def on_task_changed(self, changed: TaskChanged, _envelope: CloudEvent) -> None:
        await self.note(changed.task)

    async def note(self, task: Task) -> None:
        """Brings the queue up to the record's newest state."""
        known = await self.queue.get(task.id)
        if known is not None and known.seq >= task.seq:
            return
        await self._charge(task, known.gpu_seconds if known else 0.0)
        look_at = look_again_at(task, self.clock.now(), self.lease)
        await self.queue.put(task, look_at)
        self.wake_at(look_at)
        if task.phase.owner is not Owner.WORKER:
            # It waits for a worker, or a worker has become free of it.
            self.match_soon()

    async def on_heard_by_all(self, changed: TaskChanged, _envelope: CloudEvent) -> None:
        """An end that everybody has heard of can be forgotten; until then the watchdog says it again."""
        if changed.task.phase.terminal:
            await self.queue.remove(changed.task.id)

    async def on_heartbeat(self, heartbeat: WorkerHeartbeat, _envelope: CloudEvent) -> None:
        worker = heartbeat.worker
        self.workers.heard(worker)
        if worker.runs:
            runs = [(run.task_id, run.attempt) for run in worker.runs]
            await self.queue.renew(worker.worker_id, runs, self.clock.now() + self.lease)
        self.match_soon()

    async def _charge(self, task: Task, already: float) -> None:
        spent = gpu_seconds(task) - already
        if spent > 0:
            await self.ledger.charge(task.project_id, spent, self.clock.now())
