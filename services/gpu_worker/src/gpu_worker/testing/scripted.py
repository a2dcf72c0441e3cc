"""An engine without a device, for tests and for measuring everything around the generation."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

from contracts.errors import Problem
from contracts.identifiers import ModelKey
from contracts.media import Comparison, Execution
from contracts.workers import Device

from gpu_worker.protocol import Encoded, Failed, Generated, Generating, JobReport, RunJob, Shown, Stepped, Stopped

# One grey pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c63680000008200817740c9c20000000049454e44ae426082"
)
CRASHED = Problem.of("engine-crashed", "The engine crashed", "as the script says", retryable=True)
REFUSED = Problem.of("pipeline-refused", "The pipeline refused the parameters", "the prompt", retryable=False)

Script = Callable[["ScriptedEngine", RunJob], AsyncGenerator[JobReport]]


class ScriptedEngine:
    """The `Engine` port, doing what its script says; by default a job of any length in no time."""

    def __init__(self, script: "Script | None" = None) -> None:
        self.script = script or instantly
        self.wedged = False
        """Whether a job that nobody follows any more stays on the device until its child is replaced."""
        self.on_device: set[tuple[str, int]] = set()
        self._followed: set[tuple[str, int]] = set()
        self.jobs: list[RunJob] = []
        self.passes: list[tuple[RunJob, ...]] = []
        """The same jobs, with those together that shared a pass."""
        self.stopped: set[tuple[str, int]] = set()
        self.to_be_shown: set[tuple[str, int]] = set()
        self.shown = 0
        """How many pictures were asked for."""
        self.child_gone = asyncio.Event()
        """Set when the child of now is replaced; the next has an event of its own."""
        self.replacements = 0
        self.ready = True
        self.setup_failure: str | None = None
        self.device = Device(name="no device", kind="cpu")
        self.versions = {"engine": "scripted"}
        self.warm_models: tuple[ModelKey, ...] = ()

    async def run(self, *jobs: RunJob) -> AsyncGenerator[JobReport]:
        keys = {(job.task_id, job.attempt) for job in jobs}
        self.jobs.extend(jobs)
        self.passes.append(jobs)
        self.on_device |= keys
        self._followed |= keys
        streams = [self._follow(job, len(jobs), self.child_gone) for job in jobs]
        broken = False
        try:
            # Step by step for all of them, as one forward pass would.
            while streams:
                for stream in list(streams):
                    report = await anext(stream, None)
                    if report is None:
                        streams.remove(stream)
                    else:
                        broken = broken or (isinstance(report, Failed) and report.broken)
                        yield report
        finally:
            for stream in streams:
                await stream.aclose()
            self._followed -= keys
        if broken:
            self.replace()

    async def _follow(self, job: RunJob, batch: int, gone: asyncio.Event) -> AsyncGenerator[JobReport]:
        async with aclosing(self.script(self, job)) as reports:
            async for report in reports:
                if gone.is_set():
                    yield Failed(task_id=job.task_id, attempt=job.attempt, problem=CRASHED, device_fault=True)
                    return
                if isinstance(report, Generating):
                    self.warm_models = report.warm_models
                if isinstance(report, Generated | Stopped | Failed):
                    self.on_device.discard((job.task_id, job.attempt))
                yield (
                    report.model_copy(update={"execution": Execution(batch=batch)})
                    if isinstance(report, Generated)
                    else report
                )

    def stop(self, task_id: str, attempt: int) -> None:
        self.stopped.add((task_id, attempt))
        if not self.wedged and (task_id, attempt) not in self._followed:
            self.on_device.discard((task_id, attempt))

    def show(self, task_id: str, attempt: int) -> None:
        self.shown += 1
        self.to_be_shown.add((task_id, attempt))

    def replace(self) -> None:
        self.replacements += 1
        self.on_device.clear()
        self.child_gone.set()
        self.child_gone = asyncio.Event()


async def instantly(engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
    """Every step in no time, and at the end one grey pixel. A prompt that is no text is refused."""
    task_id, attempt = job.task_id, job.attempt
    yield Generating(task_id=task_id, attempt=attempt, warm_models=(job.model,))
    if not isinstance(job.params.get("prompt", ""), str):
        yield Failed(task_id=task_id, attempt=attempt, problem=REFUSED)
        return
    total = int(str(job.params.get("steps", 1)))
    for step in range(1, total + 1):
        await asyncio.sleep(0)
        if (task_id, attempt) in engine.stopped:
            yield Stopped(task_id=task_id, attempt=attempt)
            return
        async for report in stepping(engine, job, step, total):
            yield report
    yield Generated(task_id=task_id, attempt=attempt, execution=Execution(), device=engine.device)
    path = Path(job.folder) / "output.png"
    await asyncio.to_thread(path.write_bytes, PNG)
    sha256 = hashlib.sha256(PNG).hexdigest()
    yield Encoded(
        task_id=task_id,
        attempt=attempt,
        path=str(path),
        size=len(PNG),
        sha256=sha256,
        comparison=Comparison(equal=job.original.sha256 and job.original.sha256 == sha256) if job.original else None,
    )


async def stepping(engine: ScriptedEngine, job: RunJob, step: int, total: int) -> AsyncGenerator[JobReport]:
    """A step, and a picture if one was asked for before it."""
    task_id, attempt = job.task_id, job.attempt
    asked = (task_id, attempt) in engine.to_be_shown
    engine.to_be_shown.discard((task_id, attempt))
    yield Stepped(task_id=task_id, attempt=attempt, step=step, total=total)
    if asked:
        path = Path(job.folder) / f"preview-{step}.webp"
        await asyncio.to_thread(path.write_bytes, f"after step {step}".encode())
        yield Shown(task_id=task_id, attempt=attempt, step=step, path=str(path))


async def until_killed(engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
    """Begins, and then hears nothing until the child is replaced."""
    gone = engine.child_gone
    yield Generating(task_id=job.task_id, attempt=job.attempt, warm_models=(job.model,))
    await gone.wait()
    yield Failed(task_id=job.task_id, attempt=job.attempt, problem=CRASHED, device_fault=True)


def failing(problem: Problem, broken: bool = False) -> Script:
    async def fail(_engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
        yield Generating(task_id=job.task_id, attempt=job.attempt, warm_models=(job.model,))
        yield Failed(task_id=job.task_id, attempt=job.attempt, problem=problem, broken=broken)

    return fail
