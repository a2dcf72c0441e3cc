"""The engine child as the `Engine` port: started from a fork server, watched, replaced when it dies.

The fork server imports torch and diffusers once; children forked from it start in milliseconds, so
replacing one that crashed costs little.
"""

import asyncio
import multiprocessing
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import TypeAlias

import structlog
from contracts.errors import Problem
from contracts.workers import Device
from pydantic import BaseModel

from gpu_worker.engine.entry import enter
from gpu_worker.protocol import (
    Encoded,
    EngineOptions,
    EngineReady,
    Failed,
    Generated,
    Generating,
    JobReport,
    Report,
    RunJob,
    RunTogether,
    SetupFailed,
    ShowJob,
    StopJob,
    Stopped,
    dump,
    read_report,
)

log = structlog.get_logger(__name__)

FORK_SERVER = multiprocessing.get_context("forkserver")
FORK_SERVER.set_forkserver_preload(["gpu_worker.engine.preload"])
LONGEST_PAUSE_SECONDS = 30.0
COMES_UP_WITHIN_SECONDS = 60.0
"""How long a job waits for a child: one that is forked anew is there in a second, unless it cannot come up."""

Wire: TypeAlias = "Connection[bytes, bytes]"


class EngineProcess:
    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._process: ForkServerProcess | None = None
        self._wire: Wire | None = None
        self._ready = asyncio.Event()
        self._device = Device(name="starting", kind="none")
        self._versions: dict[str, str] = {}
        self._setup_failure: str | None = None
        self._killed = False
        self._warm: tuple[str, ...] = ()
        self._jobs: dict[tuple[str, int], asyncio.Queue[JobReport]] = {}
        self._on_device: set[tuple[str, int]] = set()

    @property
    def ready(self) -> bool:
        return self._ready.is_set()

    @property
    def setup_failure(self) -> str | None:
        return self._setup_failure

    @property
    def device(self) -> Device:
        return self._device

    @property
    def versions(self) -> dict[str, str]:
        return self._versions

    @property
    def warm_models(self) -> tuple[str, ...]:
        return self._warm

    @property
    def on_device(self) -> Collection[tuple[str, int]]:
        return self._on_device

    @property
    def process_id(self) -> int:
        """Of the child that runs now. Raises `RuntimeError` when none does."""
        if self._process is None or self._process.pid is None:
            raise RuntimeError("no engine child is running")
        return self._process.pid

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps a child alive for as long as the context lasts."""
        keeping = asyncio.create_task(self._keep_alive())
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            self._kill()

    async def run(self, *jobs: RunJob) -> AsyncGenerator[JobReport]:
        if not await self._comes_up():
            for job in jobs:
                yield Stopped(task_id=job.task_id, attempt=job.attempt)
            return
        reports: asyncio.Queue[JobReport] = asyncio.Queue()
        left, broken = {(job.task_id, job.attempt) for job in jobs}, False
        self._jobs |= dict.fromkeys(left, reports)
        self._on_device |= left
        try:
            self._send(jobs[0] if len(jobs) == 1 else RunTogether(jobs=jobs))
            while left:
                report = await reports.get()
                yield report
                if isinstance(report, Encoded | Stopped | Failed):
                    left.discard((report.task_id, report.attempt))
                    broken = broken or (isinstance(report, Failed) and report.broken)
        finally:
            for job in jobs:
                del self._jobs[job.task_id, job.attempt]
        if broken:
            self.replace()

    def stop(self, task_id: str, attempt: int) -> None:
        self._send(StopJob(task_id=task_id, attempt=attempt))

    def show(self, task_id: str, attempt: int) -> None:
        self._send(ShowJob(task_id=task_id, attempt=attempt))

    def replace(self) -> None:
        self._ready.clear()
        self._kill()

    async def _comes_up(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(COMES_UP_WITHIN_SECONDS):
                await self._ready.wait()
        return self._ready.is_set()

    async def _keep_alive(self) -> None:
        """Starts a child, waits until it ends, and starts the next, slower while they do not even come up."""
        pause = 0.1
        while True:
            came_up = await self._start_and_wait()
            pause = 0.1 if came_up else min(pause * 2, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _start_and_wait(self) -> bool:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self._versions, self._warm, self._killed = {}, (), False
        self._wire, other_end = FORK_SERVER.Pipe()
        self._process = FORK_SERVER.Process(target=enter, args=(other_end, self._options), daemon=True)
        try:
            # The first start waits for the fork server's imports.
            await asyncio.to_thread(self._process.start)
        except (OSError, EOFError) as error:
            # No memory for another process, or the fork server died of that; the next start brings up another.
            self._setup_failure = f"the engine could not be started: {error!r}"
            log.warning("the engine could not be started", reason=repr(error))
            return False
        finally:
            other_end.close()
        reading = threading.Thread(target=self._read, args=(self._wire, loop, ended), daemon=True)
        reading.start()
        await ended.wait()
        self._ready.clear()
        self._on_device.clear()
        await asyncio.to_thread(self._process.join)
        self._fail_jobs(self._process.exitcode)
        came_up = bool(self._versions)
        if not came_up and self._setup_failure is None:
            self._setup_failure = f"the engine ended with exit code {self._process.exitcode} before it was ready"
        return came_up

    def _read(self, wire: Wire, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        """Runs on a thread of its own until the child's end of the pipe closes."""
        with suppress(EOFError, OSError, RuntimeError):
            while True:
                loop.call_soon_threadsafe(self._receive, read_report(wire.recv_bytes()))
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(ended.set)

    def _receive(self, report: Report) -> None:
        match report:
            case EngineReady():
                self._device, self._versions, self._warm = report.device, report.versions, report.warm_models
                self._setup_failure = None
                self._ready.set()
                return
            case SetupFailed():
                self._setup_failure = report.reason
                return
            case Generating():
                self._warm = report.warm_models
            case Generated():
                self._device = report.device
        if isinstance(report, Generated | Stopped | Failed):
            self._on_device.discard((report.task_id, report.attempt))
        reports = self._jobs.get((report.task_id, report.attempt))
        if reports is not None:
            reports.put_nowait(report)

    def _fail_jobs(self, exit_code: int | None) -> None:
        log.warning("the engine ended", exit_code=exit_code, jobs=len(self._jobs))
        problem = Problem.of(
            "engine-crashed",
            "The engine crashed",
            f"The process that generates ended with exit code {exit_code}.",
            retryable=True,
        )
        for (task_id, attempt), reports in self._jobs.items():
            reports.put_nowait(Failed(task_id=task_id, attempt=attempt, problem=problem, device_fault=not self._killed))

    def _send(self, message: BaseModel) -> None:
        if self._wire is not None:
            # A broken pipe is a dead child, which the reader reports for every job.
            with suppress(OSError):
                self._wire.send_bytes(dump(message))

    def _kill(self) -> None:
        if self._process is not None and self._process.pid is not None:
            self._killed = True
            self._process.kill()
