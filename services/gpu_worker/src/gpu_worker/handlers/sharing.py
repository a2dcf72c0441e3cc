"""Attempts that were given to this worker to share a forward pass: brought together, run, and told apart again.

They come one by one, and any of them may be lost on the way or be over when it comes. So nobody is
waited for long, and who comes too late is run with those that are late too, or alone.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

import structlog
from contracts.catalog import Catalog
from contracts.ports import Clock
from contracts.tracing import OFF, Attributes, Span, TraceContext, Tracer

from gpu_worker.domain.attempts import Attempt
from gpu_worker.ports import Engine
from gpu_worker.protocol import Encoded, Failed, JobReport, RunJob, Stopped

log = structlog.get_logger(__name__)

Key = tuple[str, int]


class _Shared:
    """One forward pass: at first those that have come for it, then the engine's reports for each of them."""

    def __init__(self, engine: Engine, passes: "dict[Key, _Shared]", tracer: Tracer, clock: Clock) -> None:
        self._engine = engine
        self._tracer = tracer
        self._clock = clock
        self._passes = passes
        self.jobs: list[RunJob] = []
        self.attempts: dict[Key, Attempt] = {}
        """Of those that are still followed."""
        self._reports: dict[Key, asyncio.Queue[JobReport]] = {}
        self._running: asyncio.Task[None] | None = None

    def join(self, attempt: Attempt, job: RunJob) -> None:
        self.jobs.append(job)
        self.attempts[attempt.key] = attempt
        self._reports[attempt.key] = asyncio.Queue()
        self._passes[attempt.key] = self

    def begin(self) -> None:
        for attempt in self.attempts.values():
            attempt.together = len(self.jobs)
        self._running = asyncio.create_task(self._run())

    async def follow(self, attempt: Attempt) -> AsyncGenerator[JobReport]:
        ended = False
        try:
            while not ended:
                report = await self._reports[attempt.key].get()
                ended = isinstance(report, Encoded | Stopped | Failed)
                yield report
        finally:
            del self.attempts[attempt.key], self._passes[attempt.key]
            if self._running is None:
                self.jobs = [job for job in self.jobs if (job.task_id, job.attempt) != attempt.key]
            elif not ended and not self.attempts:
                self._running.cancel()

    async def _run(self) -> None:
        start, served = self._clock.now(), [one.trace for one in self.attempts.values()]
        try:
            async with aclosing(self._engine.run(*self.jobs)) as reports:
                async for report in reports:
                    self._reports[report.task_id, report.attempt].put_nowait(report)
        finally:
            self._tell(start, [trace for trace in served if trace is not None and trace.sampled])

    def _tell(self, start: datetime, served: Sequence[TraceContext]) -> None:
        """A batch is for several tasks, so it belongs into nobody's trace, and names their runs."""
        if served:
            trace = TraceContext.beginning("batch", *(str(one) for one in served), sampled=True).child("batch")
            about: Attributes = {"movie_tasks.model": self.jobs[0].model, "movie_tasks.together": len(self.jobs)}
            self._tracer.tell(Span("batch", trace, None, start, self._clock.now(), attributes=about, links=served))


class Sharing:
    """Which attempts share a pass. `wait` is how long after each that comes the next one is waited for."""

    def __init__(self, engine: Engine, catalog: Catalog, wait: timedelta, clock: Clock, tracer: Tracer = OFF) -> None:
        self._engine = engine
        self._catalog = catalog
        self._wait = wait
        self._clock = clock
        self._tracer = tracer
        self._gathering: dict[str, tuple[_Shared, asyncio.TimerHandle]] = {}
        self._passes: dict[Key, _Shared] = {}

    def run(self, attempt: Attempt, job: RunJob) -> AsyncGenerator[JobReport]:
        """The job's reports up to its end, from a pass of its own or one that it shares."""
        assigned = attempt.assignment
        if assigned.batch is None or assigned.together == 1 or not self._may_share(assigned.batch, job):
            attempt.together = 1
            return self._engine.run(job)
        return self._join(assigned.batch, attempt, job).follow(attempt)

    def others_wanted(self, attempt: Attempt) -> bool:
        """Whether the pass that the attempt is in must go on for somebody else."""
        shared = self._passes.get(attempt.key)
        return shared is not None and any(
            not other.stopping for other in shared.attempts.values() if other is not attempt
        )

    def _may_share(self, batch: str, job: RunJob) -> bool:
        """The record has the last word on what goes together, not whoever announced it."""
        entry = self._catalog[job.model]
        most = 1 if job.inputs or job.original else entry.most_together(job.params)
        waiting = self._gathering[batch][0].jobs if batch in self._gathering else []
        alike = all(
            one.model == job.model and entry.shared(one.params) == entry.shared(job.params) for one in waiting[:1]
        )
        return most > 1 and alike and len(waiting) < most

    def _join(self, batch: str, attempt: Attempt, job: RunJob) -> _Shared:
        if batch in self._gathering:
            shared, timer = self._gathering[batch]
            timer.cancel()
        else:
            shared = _Shared(self._engine, self._passes, self._tracer, self._clock)
        shared.join(attempt, job)
        loop = asyncio.get_running_loop()
        self._gathering[batch] = shared, loop.call_later(self._wait.total_seconds(), self._begin, batch)
        if len(shared.jobs) >= attempt.assignment.together:
            self._begin(batch)
        return shared

    def _begin(self, batch: str) -> None:
        shared, timer = self._gathering.pop(batch)
        timer.cancel()
        if shared.jobs:
            log.info("a forward pass is shared", batch=batch, tasks=len(shared.jobs))
            shared.begin()
