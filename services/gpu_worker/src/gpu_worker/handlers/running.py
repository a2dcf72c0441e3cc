"""One task attempt from assignment to staging.

The record is asked before anything begins and told at every milestone; an attempt that is no longer
the record's is dropped wherever it is. What cannot be saved is left to the lease.
"""

import asyncio
import random
import shutil
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from contracts.catalog import Catalog
from contracts.errors import IllegalTransition, NotFound, PermanentError, Problem, RetryableError, StaleAttempt
from contracts.media import ProducedMedia
from contracts.ports import Clock
from contracts.tasks import (
    TIME_LIMIT_EXCEEDED,
    TOO_LONG_TOGETHER,
    Advance,
    Backoff,
    Fail,
    Move,
    Phase,
    Produce,
    TakeBack,
    Task,
    after_failure,
    run_of,
)
from contracts.topics import App, staging_key

from gpu_worker.domain.attempts import Attempt, Pace, provenance, still_ours, unless_cancelled
from gpu_worker.domain.health import DeviceFaults
from gpu_worker.domain.replays import with_circumstances
from gpu_worker.handlers.files import Files
from gpu_worker.handlers.milestones import Milestones
from gpu_worker.handlers.previewing import Previewing
from gpu_worker.handlers.sharing import Sharing
from gpu_worker.ports import Engine
from gpu_worker.protocol import (
    OUT_OF_MEMORY,
    Encoded,
    Failed,
    Generated,
    Generating,
    JobReport,
    RunJob,
    Saved,
    Shown,
    Stepped,
    Stopped,
)

log = structlog.get_logger(__name__)

ENCODING_SAID_AFTER_SECONDS = 3.0
"""Well within the grace that the watchdog gives over the time limit."""
KEPT_WITHIN_SECONDS = 30.0
OVER = (StaleAttempt, IllegalTransition, NotFound)


@dataclass(frozen=True)
class Running:
    app: App
    catalog: Catalog
    milestones: Milestones
    files: Files
    previewing: Previewing
    engine: Engine
    faults: DeviceFaults
    sharing: Sharing
    clock: Clock
    randomness: random.Random
    changed: Callable[[], None]
    """Tells the heartbeat that there is something new to say."""
    scratch: Path
    stop_within: timedelta
    backoff: Backoff
    pace: Pace
    on_fenced: Callable[[timedelta], None]
    """Told how long an attempt used the device that was over before this worker knew."""

    async def run(self, attempt: Attempt) -> None:
        """Carries the attempt as far as it goes."""
        task_id, number = attempt.key
        folder = self.scratch / f"{task_id}-{number}"
        try:
            task = await self.milestones.tasks.get(task_id)
            if task is None or not still_ours(task, attempt.assignment):
                log.info("the assignment is over already")
                return
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
            await self._run(attempt, task, folder)
        except OVER as error:
            log.info("the attempt is over", reason=error.detail)
            self.on_fenced(attempt.generated_for(self.clock.now()))
        except RetryableError as error:
            # Nothing can be saved. The lease runs out, and the task goes to whoever can be reached.
            log.warning("the attempt is given up", reason=error.detail)
        finally:
            self._leave_device(attempt)
            for aside in (attempt.saying, attempt.keeping):
                if aside is not None:
                    aside.cancel()
            await self.previewing.end(attempt)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def stop(self, attempt: Attempt) -> None:
        """Ends the run at its next step; kills the engine when that step does not come in time."""
        if attempt.stopping:
            return
        attempt.stopping = True
        self._stop_engine(attempt)

    async def hand_back(self, attempt: Attempt) -> None:
        """Gives the task back to the queue without blame, because this worker must go."""
        try:
            await self.milestones.save(attempt, lambda _found: TakeBack(attempt.assignment.attempt), keep_trying=False)
        except (*OVER, RetryableError) as error:
            log.info("nothing to hand back", task_id=attempt.assignment.task_id, reason=error.detail)

    def _stop_engine(self, attempt: Attempt) -> None:
        self.engine.stop(*attempt.key)
        asyncio.get_running_loop().call_later(self.stop_within.total_seconds(), self._kill_if_stuck, attempt)

    def _kill_if_stuck(self, attempt: Attempt) -> None:
        if attempt.key in self.engine.on_device and not self.sharing.others_wanted(attempt):
            log.warning("the run did not stop in time; its engine is killed", task_id=attempt.assignment.task_id)
            self.engine.replace()

    async def _run(self, attempt: Attempt, task: Task, folder: Path) -> None:
        # Said before anything else is done: from now on heartbeats keep the lease, however long inputs take.
        warm = task.model in self.engine.warm_models
        await self._advance(attempt, Phase.GENERATING if warm else Phase.LOADING_MODEL)
        try:
            job = await self.files.job(task, folder)
        except PermanentError as error:
            problem = error.problem()
            await self.milestones.save(attempt, lambda _found: Fail(task.attempt, problem))
            return
        attempt.checkpoint, attempt.trace, attempt.tags = task.checkpoint, run_of(task), task.tags
        match await self._generate(attempt, task, job):
            case Encoded() as encoded:
                await self._hand_in(attempt, task, job, encoded)
                attempt.succeeded = True
            case Failed(problem=problem) if not attempt.stopping:
                attempt.succeeded = False
                if attempt.keeping is not None:
                    # What is being saved is worth more now than ever.
                    await asyncio.wait([attempt.keeping], timeout=KEPT_WITHIN_SECONDS)
                await self._fail(attempt, problem)
            case _:
                # Stopped because somebody cancelled; or because we were told so without its being true, or no engine
                # came up.
                await self.milestones.save(attempt, unless_cancelled(TakeBack(task.attempt)))

    async def _generate(self, attempt: Attempt, task: Task, job: RunJob) -> Encoded | Stopped | Failed:
        """Follows the engine to the job's end, and makes sure that there is one."""
        last: JobReport | None = None
        try:
            async with (
                asyncio.timeout(task.time_limit_seconds) as limit,
                aclosing(self.sharing.run(attempt, job)) as reports,
            ):
                # Read to their very end: an engine that broke is replaced after the last one.
                async for last in reports:
                    if isinstance(last, Failed) and last.device_fault and not attempt.stopping:
                        self.faults.happened(task.id, self.clock.now(), last.problem.detail)
                    if isinstance(last, Generated):
                        limit.reschedule(None)
                        self.faults.did_right()
                    await self._follow(attempt, last)
        except TimeoutError:
            log.warning("the time limit is exceeded; the engine is killed")
            self.engine.replace()
            problem = TIME_LIMIT_EXCEEDED if attempt.together == 1 else TOO_LONG_TOGETHER
            return Failed(task_id=job.task_id, attempt=job.attempt, problem=problem)
        finally:
            self._leave_device(attempt)
            if not isinstance(last, Encoded | Stopped | Failed):
                # Nobody follows it any more, and the next job would wait behind it on the same device.
                self._stop_engine(attempt)
        if isinstance(last, Encoded | Stopped | Failed):
            return last
        raise AssertionError("an engine's reports end with Encoded, Stopped or Failed")

    async def _follow(self, attempt: Attempt, report: JobReport) -> None:
        now = self.clock.now()
        match report:
            case Generating(first_step=first_step):
                attempt.generating_since, attempt.first_step = now, first_step
                self.previewing.ask(attempt, now)
                if attempt.phase is Phase.LOADING_MODEL:
                    await self._advance(attempt, Phase.GENERATING)
            case Stepped(step=step, total=total):
                attempt.stepped(step, total, now)
                self.previewing.ask(attempt, now)
                await self._tell_progress(attempt, now)
            case Saved() if attempt.keeping is None or attempt.keeping.done():
                attempt.keeping = asyncio.create_task(self._keep(attempt, report))
            case Shown():
                self.previewing.take(attempt, report)
            case Generated(execution=execution):
                attempt.execution, attempt.generated_at = execution, now
                attempt.phase = Phase.ENCODING
                self._leave_device(attempt)
                attempt.saying = asyncio.create_task(self._say_that_it_encodes(attempt))

    async def _keep(self, attempt: Attempt, saved: Saved) -> None:
        """Its file first, then the record that names it, then the one before: whenever this ends, one is whole."""
        older = attempt.checkpoint
        try:
            attempt.checkpoint = await self.files.keep(saved)
            await self._advance(attempt, attempt.phase, keep_trying=False)
            if older is not None:
                await self.files.delete(older.key)
        except (*OVER, RetryableError) as error:
            log.warning("a checkpoint was not kept", step=saved.step, reason=error.detail)

    async def _say_that_it_encodes(self, attempt: Attempt) -> None:
        """Most encoding is over before this. What is not must not be ended by the time limit of generating."""
        await asyncio.sleep(ENCODING_SAID_AFTER_SECONDS)
        with suppress(*OVER, RetryableError):
            await self._advance(attempt, Phase.ENCODING)

    def _leave_device(self, attempt: Attempt) -> None:
        """The slot is free, which is worth a heartbeat: something may be waiting for it."""
        if attempt.on_device:
            attempt.on_device = False
            self.changed()

    async def _tell_progress(self, attempt: Attempt, now: datetime) -> None:
        if self.pace.publish_now(attempt, now):
            attempt.published_at = now
            await self.milestones.tell_progress(attempt, now)
        if self.pace.save_now(attempt, now):
            attempt.saved_at = now
            try:
                await self._advance(attempt, attempt.phase, keep_trying=False)
            except RetryableError as error:
                log.warning("progress was not saved", reason=error.detail)

    async def _hand_in(self, attempt: Attempt, task: Task, job: RunJob, encoded: Encoded) -> None:
        """Puts the file into staging and leaves the rest to storage."""
        entry = self.catalog[task.model]
        key = staging_key(task.id, task.attempt, entry.output.format.value)
        async for again in self.milestones.tries():
            with again:
                await self.files.put(key, Path(encoded.path))
        now = self.clock.now()
        then = job.original.provenance if job.original else None
        made = provenance(task, entry, attempt, self.engine.device, self.engine.versions, now)
        media = ProducedMedia(
            key=key,
            content_type=entry.output.format.content_type,
            size=encoded.size,
            sha256=encoded.sha256,
            provenance=made,
            comparison=with_circumstances(encoded.comparison, then, made),
        )
        produce = Produce(task.attempt, media, attempt.generated_at or now, attempt.together)
        try:
            await self.milestones.save(attempt, unless_cancelled(produce))
        except OVER:
            await self.files.delete(key)
            raise
        if attempt.checkpoint is not None:
            with suppress(RetryableError):  # the sweep comes by
                await self.files.delete(attempt.checkpoint.key)

    async def _fail(self, attempt: Attempt, problem: Problem) -> None:
        def decide(found: Task) -> Move:
            return after_failure(
                found,
                attempt.assignment.attempt,
                problem,
                self.clock.now(),
                self.backoff,
                self.randomness,
                outgrown_mb=self.engine.device.vram_total_mb if problem.code == OUT_OF_MEMORY else 0,
            )

        await self.milestones.save(attempt, decide)

    async def _advance(self, attempt: Attempt, phase: Phase, *, keep_trying: bool = True) -> None:
        attempt.phase = phase
        move = Advance(attempt.assignment.attempt, phase, attempt.progress, attempt.checkpoint, attempt.together)
        task = await self.milestones.save(attempt, lambda _found: move, keep_trying=keep_trying)
        if task.cancel_requested:
            self.stop(attempt)
