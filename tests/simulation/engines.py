"""Engines without a device, and media without pictures."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from contracts.catalog import Catalog
from contracts.errors import Problem, UnsupportedMedia
from contracts.media import Execution
from contracts.workers import Device
from gpu_worker.protocol import Encoded, Failed, Generated, Generating, JobReport, RunJob, Shown, Stepped, Stopped
from storage.domain import Probe

from tests.simulation.network import Network

DEVICE = Device(name="simulated", kind="cpu")
MAGIC = b"simulated "

Key = tuple[str, int]


class Watching(Protocol):
    def engine_began(self, worker: str, task_id: str, attempt: int) -> None: ...

    def engine_ended(self, worker: str, task_id: str, attempt: int) -> None: ...


@dataclass(frozen=True)
class Plan:
    """What a job will come to."""

    load_seconds: float
    step_seconds: float
    encode_seconds: float
    fault: str | None
    at_step: int


class SimulatedEngine:
    """The `Engine` port: one pass after the other on its device, encoding beside it, like the real child."""

    def __init__(
        self, worker: str, network: Network, catalog: Catalog, watching: Watching, pace: float, even: bool
    ) -> None:
        self.device = DEVICE
        self.versions = {"engine": "simulated"}
        self.setup_failure: str | None = None
        self.warm_models: tuple[str, ...] = ()
        self._worker = worker
        self._pace = pace
        self._even = even
        self._network = network
        self._catalog = catalog
        self._watching = watching
        self._up = asyncio.Event()
        self._died = asyncio.Event()
        self._jobs: dict[Key, asyncio.Queue[JobReport]] = {}
        self._waiting: asyncio.Queue[Sequence[RunJob]] = asyncio.Queue()
        self._stopping: set[Key] = set()
        self._to_be_shown: set[Key] = set()
        self._on_device: set[Key] = set()
        self._handed_over: set[Key] = set()
        self._encoding: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        return self._up.is_set()

    @property
    def on_device(self) -> Collection[Key]:
        return self._handed_over

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self._keep_alive())
        try:
            yield
        finally:
            keeping.cancel()
            self.killed()

    async def run(self, *jobs: RunJob) -> AsyncGenerator[JobReport]:
        await self._up.wait()
        reports: asyncio.Queue[JobReport] = asyncio.Queue()
        left, broken = {_key(job) for job in jobs}, False
        self._jobs |= dict.fromkeys(left, reports)
        self._handed_over |= left
        try:
            self._waiting.put_nowait(jobs)
            while left:
                report = await reports.get()
                yield report
                if isinstance(report, Encoded | Stopped | Failed):
                    left.discard((report.task_id, report.attempt))
                    broken = broken or (isinstance(report, Failed) and report.broken)
        finally:
            for job in jobs:
                del self._jobs[_key(job)]
        if broken:
            self.replace()

    def stop(self, task_id: str, attempt: int) -> None:
        if self._up.is_set():
            self._stopping.add((task_id, attempt))

    def show(self, task_id: str, attempt: int) -> None:
        if self._up.is_set():
            self._to_be_shown.add((task_id, attempt))

    def replace(self) -> None:
        self._up.clear()
        self._died.set()

    def killed(self) -> None:
        """The child is gone, and its device is free."""
        for key in sorted(self._on_device):
            self._leaves(key)

    def _leaves(self, key: Key) -> None:
        self._watching.engine_ended(self._worker, *key)
        self._handed_over.discard(key)
        self._on_device.discard(key)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._network.randomness.uniform(0.05, 3.0))
            self._died, self._waiting, self._stopping, self.warm_models = asyncio.Event(), asyncio.Queue(), set(), ()
            serving = asyncio.create_task(self._serve())
            self._up.set()
            await self._died.wait()
            self._up.clear()
            for work in (serving, *self._encoding):
                work.cancel()
            self.killed()
            self._handed_over.clear()
            for key in list(self._jobs):
                self._fail(key, _problem("engine-crashed", retryable=True))

    async def _serve(self) -> None:
        while True:
            jobs = await self._waiting.get()
            if len(jobs) > 1:
                self._network.note(f"{len(jobs)} tasks share a pass on {self._worker}")
            for job in jobs:
                self._on_device.add(_key(job))
                self._watching.engine_began(self._worker, *_key(job))
            await self._generate(jobs)

    async def _generate(self, jobs: Sequence[RunJob]) -> None:
        """One pass for all, in which each is told and stopped by itself."""
        plan, total = self._plan(jobs[0]), int(str(jobs[0].params.get("steps", 1)))
        if jobs[0].model not in self.warm_models:
            await asyncio.sleep(plan.load_seconds)
            self.warm_models = (*self.warm_models, jobs[0].model)[-2:]
        batch = len(jobs := self._wanted(jobs))
        for job in jobs:
            self._tell(Generating(task_id=job.task_id, attempt=job.attempt, warm_models=self.warm_models))
        for step in range(1, total + 1):
            await asyncio.sleep(plan.step_seconds)
            if jobs and step == min(plan.at_step, total) and await self._goes_wrong(jobs, plan.fault):
                return
            jobs = self._wanted(jobs)
            for job in jobs:
                self._tell(Stepped(task_id=job.task_id, attempt=job.attempt, step=step, total=total))
                self._show(job, step)
            if not jobs:
                return
        for job in jobs:
            self._hand_on(job, plan, plan.step_seconds * total, batch)

    def _show(self, job: RunJob, step: int) -> None:
        if _key(job) not in self._to_be_shown:
            return
        self._to_be_shown.discard(_key(job))
        path = Path(job.folder) / f"preview-{step}"
        with suppress(OSError):  # its folder is gone with whoever wanted the file
            path.write_bytes(MAGIC + f"preview {job.task_id} {job.attempt} {step}".encode())
            self._tell(Shown(task_id=job.task_id, attempt=job.attempt, step=step, path=str(path)))

    def _wanted(self, jobs: Sequence[RunJob]) -> list[RunJob]:
        for key in [_key(job) for job in jobs if _key(job) in self._stopping]:
            self._stopping.discard(key)
            self._leaves(key)
            self._tell(Stopped(task_id=key[0], attempt=key[1]))
        return [job for job in jobs if _key(job) in self._on_device]

    def _hand_on(self, job: RunJob, plan: Plan, seconds: float, batch: int) -> None:
        self._leaves(_key(job))
        self._tell(
            Generated(
                task_id=job.task_id,
                attempt=job.attempt,
                execution=Execution(generate_seconds=seconds, batch=batch),
                device=self.device,
            )
        )
        encoding = asyncio.create_task(self._encode(job, plan))
        self._encoding.add(encoding)
        encoding.add_done_callback(self._encoding.discard)

    async def _goes_wrong(self, jobs: Sequence[RunJob], fault: str | None) -> bool:
        """Whether the pass ended here."""
        match fault:
            case "engine hangs":
                await asyncio.sleep(100_000)
            case "engine dies":
                self._up.clear()
                self._died.set()
                await asyncio.sleep(100_000)
            case "engine breaks":
                for job in jobs:
                    self._fail(_key(job), _problem("gpu-fault", retryable=True), broken=True)
                return True
            case "engine fails" | "engine out of memory" | "permanent failure":
                if len(jobs) > 1:
                    for job in jobs:
                        await self._generate([job])
                elif fault == "permanent failure":
                    self._fail(_key(jobs[0]), _problem("pipeline-refused", retryable=False))
                else:
                    self._fail(_key(jobs[0]), _problem(fault.replace(" ", "-"), retryable=True))
                return True
        return False

    async def _encode(self, job: RunJob, plan: Plan) -> None:
        await asyncio.sleep(plan.encode_seconds)
        content = content_of(self._catalog[job.model].output.format.content_type, job.task_id, job.attempt)
        path = Path(job.folder) / "output"
        try:
            path.write_bytes(b"rubbish" if plan.fault == "result corrupt" else content)
        except OSError:
            # Its folder is gone with whoever wanted the file.
            return
        sha256 = hashlib.sha256(content).hexdigest()
        self._tell(Encoded(task_id=job.task_id, attempt=job.attempt, path=str(path), size=len(content), sha256=sha256))

    def _plan(self, job: RunJob) -> Plan:
        faults, now = self._network.faults, self._network.loop.time()
        kinds: tuple[str, ...] = (
            "engine fails",
            "engine out of memory",
            "engine breaks",
            "engine dies",
            "engine hangs",
        )
        kinds = (*kinds, "permanent failure", "result corrupt")
        fault = next((kind for kind in kinds if faults.happens(kind, now)), None)
        slow = self._pace * (10.0 if faults.happens("engine is slow", now) else 1.0)
        draw = self._network.randomness.uniform
        if self._even:
            return Plan(1.0, 1.0, 0.5, None, 1)
        return Plan(draw(0.2, 5.0) * slow, draw(0.05, 1.5) * slow, draw(0.01, 2.0) * slow, fault, 1 + int(draw(0, 8)))

    def _tell(self, report: JobReport) -> None:
        reports = self._jobs.get((report.task_id, report.attempt))
        if reports is not None:
            reports.put_nowait(report)

    def _fail(self, key: Key, problem: Problem, broken: bool = False) -> None:
        if key in self._on_device:
            self._leaves(key)
        self._tell(Failed(task_id=key[0], attempt=key[1], problem=problem, broken=broken))


def _key(job: RunJob) -> Key:
    return job.task_id, job.attempt


def content_of(content_type: str, task_id: str, attempt: int) -> bytes:
    """What an attempt's file holds: enough to tell it from every other."""
    return MAGIC + f"{content_type} {task_id} {attempt}".encode()


class SimulatedTools:
    """The media libraries, for files that say what they are."""

    async def probe(self, path: Path) -> Probe:
        content = path.read_bytes()
        if not content.startswith(MAGIC):
            raise UnsupportedMedia("the file cannot be read")
        return Probe(content.removeprefix(MAGIC).split()[0].decode(), width=1, height=1)

    async def thumbnail(self, path: Path, probe: Probe) -> bytes:
        return b"small " + path.read_bytes()


def _problem(code: str, retryable: bool) -> Problem:
    return Problem.of(code, code.replace("-", " "), "as the seed says", retryable=retryable)
