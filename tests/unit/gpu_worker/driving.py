"""One worker over fakes, driven by what it would hear."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from chassis.service import Service
from contracts.events import (
    Assignment,
    CancelRequested,
    DrainRequested,
    WorkerHeartbeat,
    assignment,
    cancel_requested,
    drain_requested,
    parse,
)
from contracts.records import TaskRecords
from contracts.tasks import Assign, Phase, RequestCancel, Task
from contracts.testing.examples import NOON, a_task
from contracts.workers import WorkerStatus
from gpu_worker.protocol import Generating, JobReport, RunJob, Stepped, Stopped
from gpu_worker.testing import ScriptedEngine, instantly

from tests.conftest import Running, World, until

WORKER = "gpu-worker-image-test"


class WorkerUnderTest:
    def __init__(self, running: Running, world: World, engine: ScriptedEngine, service: Service) -> None:
        self.running, self.world, self.engine, self.service = running, world, engine, service
        self.tasks = TaskRecords(world.state, world.clock)

    async def assign(self, worker_id: str = WORKER, lease: float = 30, **changes: object) -> Task:
        task = await self.assigned(worker_id, **changes)
        await self.deliver_assignment(task, worker_id, lease)
        return task

    async def assigned(self, worker_id: str = WORKER, **changes: object) -> Task:
        """A task of which only the record says that the worker has it."""
        task = a_task(**changes)
        await self.tasks.create(task)
        return await self.tasks.change(task.id, lambda _found: Assign(worker_id, NOON + timedelta(seconds=15)))

    async def deliver_assignment(
        self, task: Task, worker_id: str = WORKER, lease: float = 30, batch: str | None = None, together: int = 1
    ) -> None:
        given = Assignment(
            worker_id=worker_id,
            medium=task.medium,
            project_id=task.project_id,
            task_id=task.id,
            attempt=task.attempt,
            lease_seconds=lease,
            batch=batch,
            together=together,
        )
        await self.running.deliver(assignment(given, task, "scheduling", NOON))

    async def cancel(self, task: Task, attempt: int = 1) -> None:
        await self.tasks.change(task.id, lambda _found: RequestCancel())
        cancel = CancelRequested(task_id=task.id, attempt=attempt)
        await self.running.deliver(cancel_requested(cancel, "submission", NOON))

    async def drain(self, drain: bool, worker_id: str = WORKER) -> None:
        request = DrainRequested(worker_id=worker_id, drain=drain, by="ada")
        await self.running.deliver(drain_requested(request, "submission", NOON))

    async def hear_itself(self) -> None:
        heartbeat = next(m for m in self.world.bus.messages if m.event.type == "worker.heartbeat.v1")
        await self.running.deliver(heartbeat)

    async def now(self, task: Task) -> Task:
        found = await self.tasks.get(task.id)
        assert found is not None
        return found

    async def reaches(self, task: Task, *phases: Phase) -> Task:
        async with asyncio.timeout(30):
            while (found := await self.now(task)).phase not in phases:
                await asyncio.sleep(0.001)
        return found

    async def is_idle(self) -> None:
        await until(lambda: bool(self.heartbeats) and not self.heartbeats[-1].runs)

    @property
    def heartbeats(self) -> list[WorkerStatus]:
        events = [parse(message.event) for message in self.world.bus.messages]
        return [event.worker for event in events if isinstance(event, WorkerHeartbeat)]

    def lifecycle(self) -> list[str]:
        return [
            type_ for type_ in self.world.bus.types if type_.startswith(("task.", "media.")) and "gress" not in type_
        ]


Start = Callable[..., AbstractAsyncContextManager[WorkerUnderTest]]


finish = asyncio.Event()


async def step_by_step(engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
    """A step every millisecond, until it is stopped or the test says that it is enough."""
    task_id, attempt = job.task_id, job.attempt
    yield Generating(task_id=task_id, attempt=attempt, warm_models=(job.model,))
    step = 0
    while not finish.is_set():
        if (task_id, attempt) in engine.stopped:
            yield Stopped(task_id=task_id, attempt=attempt)
            return
        step += 1
        yield Stepped(task_id=task_id, attempt=attempt, step=step, total=10_000)
        await asyncio.sleep(0.001)
    async for report in instantly(engine, job.model_copy(update={"params": {"steps": 0}})):
        if not isinstance(report, Generating):
            yield report
