"""What scheduling hears: tasks' lives and workers' heartbeats. It notes them and wakes the matching."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.events import CloudEvent, QueueGrew, TaskChanged, WorkerHeartbeat, source_of
from contracts.media import Medium
from contracts.ports import Clock
from contracts.tasks import Owner, Phase, Task
from contracts.topics import App
from contracts.workers import WorkerStatus

from scheduling.domain.watching import look_again_at
from scheduling.ports import Queue, Workers

RENEWALS_PER_LEASE = 8
WAITING = (Phase.QUEUED, Phase.RETRY_WAIT)


@dataclass(frozen=True)
class Listening:
    queue: Queue
    workers: Workers
    wake_at: Callable[[datetime], None]
    look_soon: Callable[[], None]
    match_soon: Callable[[Medium], None]
    leads: Callable[[], bool]
    clock: Clock
    lease: timedelta
    keep_reminders: Callable[[Task], Awaitable[None]]
    forget_reminders: Callable[[Task], Awaitable[None]]
    _renewed: dict[str, datetime] = field(default_factory=dict)

    async def on_task_changed(self, changed: TaskChanged, _envelope: CloudEvent) -> None:
        await self.note(changed.task)

    async def note(self, task: Task) -> None:
        """Brings the queue and the reminders up to the record's newest state."""
        now = self.clock.now()
        # Also when it is no news: who noted it before may have died here.
        if not task.phase.terminal:
            await self.keep_reminders(task)
        # What it needs may have ended before it was heard of.
        look_at = now if task.phase is Phase.BLOCKED else look_again_at(task, now, now, self.lease)
        news = await self.queue.hear(task, now, look_at)
        # What the watchdog has ended is no news by the time it is heard.
        if task.series is not None and task.phase.terminal and await self.queue.wake_held(task.series.id, now):
            self.wake_at(now)
        if task.phase.terminal and await self.queue.wake_needing(task.id, now):
            self.wake_at(now)
        if not news:
            return
        if task.phase.terminal:
            await self.forget_reminders(task)
        self.wake_at(look_at)
        if task.phase in WAITING:
            self.match_soon(task.medium)

    async def on_heard_by_all(self, changed: TaskChanged, envelope: CloudEvent) -> None:
        """An end that everybody has heard of can be forgotten; until then the watchdog says it again.

        So it does with what it said of a result to be stored, and here leaves storage its time.
        """
        task, now = changed.task, self.clock.now()
        if task.phase.terminal:
            await self.queue.forget(task.id, task.seq, now)
        elif task.phase.owner is Owner.STORAGE and envelope.source == source_of(App.SCHEDULING):
            await self.queue.look_again(task.id, task.seq, look_again_at(task, now, now, self.lease))

    async def on_heartbeat(self, heartbeat: WorkerHeartbeat, _envelope: CloudEvent) -> None:
        worker = heartbeat.worker
        self.workers.heard(worker, self.clock.now())
        # All replicas hear heartbeats: those that do not lead keep their picture of the workers for the day they do.
        if self.leads():
            if worker.runs:
                await self._renew(worker)
            self.match_soon(worker.medium)

    async def on_queue_grew(self, grew: QueueGrew, _envelope: CloudEvent) -> None:
        """Another replica noted something, or was rung for what is due."""
        if not self.leads():
            return
        self.match_soon(grew.medium)
        due = await self.queue.next_due()
        if due is None:
            return
        if due <= self.clock.now():
            self.look_soon()
        else:
            self.wake_at(due)

    async def _renew(self, worker: WorkerStatus) -> None:
        """Not at every heartbeat: a lease that was renewed a moment ago is long enough still."""
        now = self.clock.now()
        last = self._renewed.get(worker.worker_id)
        if last is None or now - last >= self.lease / RENEWALS_PER_LEASE:
            self._renewed[worker.worker_id] = now
            await self.queue.renew(worker.worker_id, [(r.task_id, r.attempt) for r in worker.runs], now + self.lease)
