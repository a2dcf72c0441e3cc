"""The worker: what it has in hand, what it hears, and what it says of itself."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from contracts.catalog import Catalog
from contracts.errors import RetryableError
from contracts.events import Assignment, CancelRequested, CloudEvent, DrainRequested, WorkerHeartbeat, worker_heartbeat
from contracts.media import Medium
from contracts.ports import Clock, Publisher
from contracts.topics import App
from contracts.workers import GpuReading, WorkerStatus

from gpu_worker.domain.attempts import Attempt
from gpu_worker.domain.fitting import runnable_models
from gpu_worker.domain.health import Condition, DeviceFaults, Hearing, worker_state
from gpu_worker.handlers.running import Running
from gpu_worker.ports import Engine, Monitor

log = structlog.get_logger(__name__)

LOOKS_PER_HEARTBEAT = 4
SLOTS = 1
"""One run at a time: a second one on the same device would slow both down."""


@dataclass
class InHand:
    attempt: Attempt
    work: "asyncio.Task[None]"
    since: datetime


@dataclass
class Worker:
    worker_id: str
    app: App
    medium: Medium
    catalog: Catalog
    engine: Engine
    monitor: Monitor
    running: Running
    publisher: Publisher
    clock: Clock
    heartbeat_every: timedelta
    grace: timedelta
    changed: asyncio.Event
    faults: DeviceFaults
    hearing: Hearing = field(default_factory=Hearing)
    _in_hand: dict[tuple[str, int], InHand] = field(default_factory=dict)
    _gpu: GpuReading | None = None
    _ended: Counter[bool | None] = field(default_factory=Counter)
    _was_ready: bool = False
    _said_what_cannot_run: bool = False

    def __post_init__(self) -> None:
        self._started_at = self.clock.now()

    def has_work(self) -> bool:
        return bool(self._in_hand)

    async def on_assignment(self, assignment: Assignment, _envelope: CloudEvent) -> None:
        """Begins at once and answers at once. A repeated assignment changes nothing."""
        key = (assignment.task_id, assignment.attempt)
        if assignment.worker_id != self.worker_id or key in self._in_hand or not self.hearing.takes_work:
            return
        attempt = Attempt(assignment)
        work = asyncio.create_task(self.running.run(attempt))
        self._in_hand[key] = InHand(attempt, work, self.clock.now())
        work.add_done_callback(lambda done: self._put_down(key, done))

    async def on_cancel(self, cancel: CancelRequested, _envelope: CloudEvent) -> None:
        held = self._in_hand.get((cancel.task_id, cancel.attempt))
        if held is not None:
            self.running.stop(held.attempt)

    async def on_drain(self, request: DrainRequested, _envelope: CloudEvent) -> None:
        """Takes nothing more, or takes work again; either shows in the heartbeat that this brings about."""
        if request.worker_id == self.worker_id:
            self.hearing.drained_by = (request.by or "somebody") if request.drain else None
            self.changed.set()

    async def on_heartbeat(self, heartbeat: WorkerHeartbeat, _envelope: CloudEvent) -> None:
        """Its own voice on the bus: only now others can be heard too, so only now it takes work."""
        if heartbeat.worker.worker_id != self.worker_id or heartbeat.worker.started_at != self._started_at:
            return
        first = self.hearing.last_heard is None
        # When it was said, not when it came: what waited while this process was frozen proves nothing.
        self.hearing.last_heard = max(heartbeat.worker.sent_at, self.hearing.last_heard or heartbeat.worker.sent_at)
        if first:
            self.changed.set()

    async def keep_heartbeating(self) -> None:
        """Runs for as long as the service does: a heartbeat every few seconds, and at every change."""
        while True:
            await self._look_at_the_gpu()
            status = self.status()
            self._say_what_cannot_run(status)
            await self._say(status)
            try:
                async with asyncio.timeout(self.heartbeat_every.total_seconds()):
                    await self.changed.wait()
            except TimeoutError:
                continue
            finally:
                self.changed.clear()

    async def keep_watching_the_bus(self) -> None:
        """Runs for as long as the service does, apart from the heartbeats: a sidecar that hangs holds those up."""
        while True:
            await asyncio.sleep(self.heartbeat_every.total_seconds() / LOOKS_PER_HEARTBEAT)
            self._give_up_if_cut_off()

    async def _look_at_the_gpu(self) -> None:
        self._gpu = await asyncio.to_thread(self.monitor.read)
        if self._gpu is not None and self._gpu.xid is not None:
            self.faults.hardware = f"the GPU reported XID {self._gpu.xid}; it must be reset or replaced"

    async def _say(self, status: WorkerStatus) -> None:
        """Later than the next one is due it would be of no use."""
        try:
            async with asyncio.timeout(self.heartbeat_every.total_seconds()):
                await self.publisher.publish(worker_heartbeat(status, self.app))
        except TimeoutError:
            log.warning("a heartbeat was lost", reason="it could not be said in time")
        except RetryableError as error:
            log.warning("a heartbeat was lost", reason=error.detail)

    async def finish(self) -> None:
        """Takes nothing more, and gives what it has the grace time to come to its end."""
        self.hearing.draining = True
        self.changed.set()
        works = [held.work for held in self._in_hand.values()]
        if works:
            log.info("finishing before the end", runs=len(works), within_seconds=self.grace.total_seconds())
            await asyncio.wait(works, timeout=self.grace.total_seconds())

    async def hand_back(self) -> None:
        """Takes nothing more and gives back what it has."""
        self.hearing.draining = True
        held = list(self._in_hand.values())
        for one in held:
            one.work.cancel()
        await asyncio.gather(*(one.work for one in held), return_exceptions=True)
        for one in held:
            await self.running.hand_back(one.attempt)

    def status(self) -> WorkerStatus:
        runs = tuple(held.attempt.as_run() for held in self._in_hand.values())
        abandoned = [key for key in self.engine.on_device if key not in self._in_hand]
        self._was_ready = self._was_ready or self.engine.ready
        state, reason = worker_state(
            Condition(
                engine_ready=self.engine.ready,
                was_ready=self._was_ready,
                setup_failure=self.engine.setup_failure,
                quarantine=self.faults.quarantine(self.clock.now()),
                draining=self.hearing.draining,
                heard_itself=self.hearing.last_heard is not None,
                drained_by=self.hearing.drained_by,
                busy=bool(abandoned) or any(run.on_device for run in runs),
            )
        )
        models = runnable_models(self.catalog, self.medium, self.engine.device)
        return WorkerStatus(
            worker_id=self.worker_id,
            medium=self.medium,
            state=state,
            reason=reason,
            slots=max(0, SLOTS - len(abandoned)),
            models=models,
            # The engine knows the whole catalog, and what cuts films together is always at hand.
            warm_models=tuple(model for model in self.engine.warm_models if model in models),
            device=self.engine.device,
            gpu=self._gpu,
            runs=runs,
            completed=self._ended[True],
            failed=self._ended[False],
            started_at=self._started_at,
            sent_at=self.clock.now(),
        )

    def _say_what_cannot_run(self, status: WorkerStatus) -> None:
        """Once: tasks for such a model wait until a worker comes that can run it."""
        if self._said_what_cannot_run or not self.engine.ready:
            return
        self._said_what_cannot_run = True
        for entry in self.catalog.models:
            if entry.medium is self.medium and entry.key not in status.models:
                log.warning(
                    "this worker's device cannot run a model that is offered",
                    model=entry.key,
                    needs_vram_mb=entry.needs.vram_mb,
                    device=status.device.name,
                )

    def _put_down(self, key: tuple[str, int], work: "asyncio.Task[None]") -> None:
        self._ended[self._in_hand.pop(key).attempt.succeeded] += 1
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("an attempt met a bug", task_id=key[0], attempt=key[1], exc_info=error)

    def _give_up_if_cut_off(self) -> None:
        """Stops everything when the bus has been silent for too long: others may soon take over."""
        now = self.clock.now()
        lost = [held for held in self._in_hand.values() if self.hearing.lost(held.since, held.attempt.lease, now)]
        if lost:
            log.error("cut off from the bus; runs are stopped", runs=len(lost))
            self.hearing.last_heard = None
        for held in lost:
            held.work.cancel()
