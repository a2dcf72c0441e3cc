"""The composition root of a GPU worker."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.background import background
from chassis.deliveries import Subscription
from chassis.outside import Outside
from chassis.service import Lifespan, Service
from contracts.events import Assignment, CancelRequested, DrainRequested, FeedWatched, WorkerHeartbeat
from contracts.records import TaskRecords, media_records
from contracts.tasks import Backoff
from contracts.topics import ASSIGNMENTS, FEED_WATCHERS, TASK_CONTROL, WORKER_HEARTBEATS, worker_app

from gpu_worker.adapters.engine_process import EngineProcess
from gpu_worker.adapters.metrics import Fenced, WorkerMetrics
from gpu_worker.adapters.nvml import NvmlMonitor, Unwatched
from gpu_worker.domain.attempts import Pace
from gpu_worker.domain.health import DeviceFaults
from gpu_worker.handlers.files import Files
from gpu_worker.handlers.marking import keep_marking
from gpu_worker.handlers.milestones import Milestones
from gpu_worker.handlers.previewing import Previewing
from gpu_worker.handlers.running import Running
from gpu_worker.handlers.sharing import Sharing
from gpu_worker.handlers.working import Worker
from gpu_worker.ports import Engine, Monitor, Place
from gpu_worker.protocol import EngineOptions
from gpu_worker.settings import WorkerSettings


def create(settings: WorkerSettings, outside: Outside) -> Service:
    engine = EngineProcess(
        EngineOptions(
            catalog=outside.catalog,
            models_folder=str(settings.worker_models_folder.resolve()),
            threads=settings.worker_threads,
            preload=settings.worker_preload,
            log_level=settings.log_level,
        )
    )
    return create_around(
        engine, engine.running, settings, outside, NvmlMonitor.of_this_process(), _place(settings.worker_pod)
    )


def _place(pod: str | None) -> Place | None:
    if pod is None:
        return None
    # Its client takes seconds to import, which nobody else is to wait for.
    from gpu_worker.adapters.pod import KubernetesPod  # noqa: PLC0415

    return KubernetesPod.from_inside(pod)


def create_around(
    engine: Engine,
    engine_running: Lifespan,
    settings: WorkerSettings,
    outside: Outside,
    monitor: Monitor | None = None,
    place: Place | None = None,
) -> Service:
    """The worker around an engine of the caller's choice; without a monitor it says nothing of a GPU."""
    app = worker_app(settings.worker_medium)
    changed = asyncio.Event()
    faults, fenced = DeviceFaults(rest=settings.worker_quarantine), Fenced()
    tracer = outside.tracing.of(app)
    tasks = TaskRecords(outside.state, outside.clock, tracer)
    milestones = Milestones(app, tasks, outside.publisher, settings.worker_keep_trying)
    files = Files(tasks, media_records(outside.state), outside.objects)
    previewing = Previewing(engine, files, milestones, outside.clock, settings.worker_preview_every)
    running = Running(
        app=app,
        catalog=outside.catalog,
        milestones=milestones,
        files=files,
        previewing=previewing,
        engine=engine,
        faults=faults,
        sharing=Sharing(engine, outside.catalog, settings.worker_wait_for_batch, outside.clock, tracer),
        clock=outside.clock,
        randomness=random.Random(),
        changed=changed.set,
        scratch=settings.worker_scratch.resolve(),
        stop_within=settings.worker_stop_within,
        backoff=Backoff(settings.first_retry, settings.longest_retry),
        pace=Pace(),
        on_fenced=fenced.add,
    )
    worker = Worker(
        worker_id=f"{app.value}-{settings.replica}",
        app=app,
        medium=settings.worker_medium,
        catalog=outside.catalog,
        engine=engine,
        monitor=monitor or Unwatched(),
        running=running,
        publisher=outside.publisher,
        clock=outside.clock,
        heartbeat_every=settings.worker_heartbeat,
        grace=settings.worker_grace,
        changed=changed,
        faults=faults,
    )

    @asynccontextmanager
    async def serving() -> AsyncIterator[None]:
        marking = [keep_marking(place, worker.has_work)] if place else []
        async with engine_running(), background(worker.keep_heartbeating(), worker.keep_watching_the_bus(), *marking):
            yield
            await worker.hand_back()

    return Service(
        name=app,
        subscriptions=(
            Subscription(ASSIGNMENTS[settings.worker_medium], {Assignment: worker.on_assignment}),
            Subscription(TASK_CONTROL, {CancelRequested: worker.on_cancel, DrainRequested: worker.on_drain}),
            Subscription(WORKER_HEARTBEATS, {WorkerHeartbeat: worker.on_heartbeat}),
            Subscription(FEED_WATCHERS, {FeedWatched: previewing.on_feed_watched}),
        ),
        running=serving,
        collectors=(WorkerMetrics(worker.status, fenced),),
        drain=worker.finish,
    )
