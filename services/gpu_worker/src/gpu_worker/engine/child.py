"""The engine child's main loop: one forward pass after the other, for one job or several, stopped when the
supervisor says so.

Generating runs on the main thread. Encoding runs on a second one, so that the device is already busy
with the next job. A third reads commands, so that a stop is heard in the middle of a run, and ends
the process at once when the supervisor is gone.
"""

import importlib.metadata
import logging
import os
import queue
import threading
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import structlog
import torch
from chassis.logs import configure_logs
from contracts.catalog import Catalog, ModelEntry
from contracts.media import Execution
from pydantic import BaseModel

from gpu_worker.engine.checkpoints import Keeper, read
from gpu_worker.engine.comparing import compare
from gpu_worker.engine.editing import edit
from gpu_worker.engine.encoders import encode, size_and_sha256
from gpu_worker.engine.failures import UnusableOutput, classify
from gpu_worker.engine.generators import File, RawMedia, generate
from gpu_worker.engine.memory import Admission, CpuGauge, CudaGauge, Ladder, halves, is_out_of_memory, rungs
from gpu_worker.engine.passes import Pass, StopRequested
from gpu_worker.engine.pipelines import Pipelines, describe, memory_budget_mb, pick_device
from gpu_worker.engine.showing import Showing
from gpu_worker.protocol import (
    Encoded,
    EngineOptions,
    EngineReady,
    Failed,
    Generated,
    RunJob,
    RunTogether,
    Saved,
    SetupFailed,
    ShowJob,
    StopJob,
    dump,
    read_command,
)

log = structlog.get_logger(__name__)

REPORTED = ("torch", "diffusers", "transformers", "av", "pillow")


def main(connection: "Connection[bytes, bytes]", options: EngineOptions) -> None:
    """Entry point of the child process; returns never, ends with the supervisor."""
    configure_logs(options.log_level)
    logging.captureWarnings(True)
    for library in ("diffusers", "transformers"):
        logging.getLogger(library).setLevel(logging.ERROR)
    # Its bounds differ from the schedule's by a rounding error, which it mentions at every step.
    warnings.filterwarnings("ignore", module="torchsde")
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        engine = _set_up(connection, options)
    except Exception as error:
        log.exception("the engine cannot come up")
        connection.send_bytes(dump(SetupFailed(reason=f"{type(error).__name__}: {error}")))
        raise SystemExit(1) from None
    engine.serve()


def _set_up(connection: "Connection[bytes, bytes]", options: EngineOptions) -> "Engine":
    # What torch.compile made is there for the next process on this node.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(options.models_folder) / "compiled"))
    device = pick_device()
    pipelines = Pipelines(options.catalog, device, Path(options.models_folder), memory_budget_mb(device))
    for key in options.preload:
        pipelines.get(key)
    versions = {name: importlib.metadata.version(name) for name in REPORTED}
    engine = Engine(options.catalog, pipelines, device, connection)
    engine.report(EngineReady(device=describe(device), versions=versions, warm_models=pipelines.warm))
    return engine


class Engine:
    def __init__(
        self, catalog: Catalog, pipelines: Pipelines, device: torch.device, connection: "Connection[bytes, bytes]"
    ) -> None:
        self._catalog = catalog
        self._pipelines = pipelines
        self._device = device
        self._connection = connection
        self._sending = threading.Lock()
        self._asked: queue.SimpleQueue[Sequence[RunJob]] = queue.SimpleQueue()
        self._stopping: set[tuple[str, int]] = set()
        self._to_be_shown: set[tuple[str, int]] = set()
        self._ladder = Ladder(pipelines.clean_up)
        self._admission = Admission(CudaGauge(device) if device.type == "cuda" else CpuGauge())
        self._encoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")

    def report(self, message: BaseModel) -> None:
        with self._sending:
            self._connection.send_bytes(dump(message))

    def serve(self) -> None:
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        while True:
            jobs = self._asked.get()
            self.run(jobs)
            for asked in (self._stopping, self._to_be_shown):
                asked.difference_update((job.task_id, job.attempt) for job in jobs)

    def _listen(self) -> None:
        while True:
            try:
                command = read_command(self._connection.recv_bytes())
            except (EOFError, OSError):
                # The supervisor is gone. Nobody wants the result any more, and the device is needed.
                os._exit(1)
            match command:
                case StopJob():
                    self._stopping.add((command.task_id, command.attempt))
                case ShowJob():
                    self._to_be_shown.add((command.task_id, command.attempt))
                case RunJob():
                    self._asked.put((command,))
                case RunTogether():
                    self._asked.put(command.jobs)

    def run(self, jobs: Sequence[RunJob], degraded: tuple[str, ...] = ()) -> None:
        """One pass for all. What does not fit into memory is run in two halves; after any other failure each is run
        alone, so that none fails by another's fault.
        """
        entry = self._catalog[jobs[0].model]
        shared = Pass(jobs, self._stopping, self.report)
        error = self._edit(entry, shared) if entry.generator.edits else self._call(entry, shared, degraded)
        if error is None:
            return
        if len(jobs) == 1 or not shared.began or classify(error).broken:
            for job in shared.wanted:
                self._report_failure(job, error)
            return
        log.warning("a pass failed; its jobs are run apart", jobs=len(shared.jobs), exc_info=error)
        parts = halves(shared.wanted) if is_out_of_memory(error) else [(job,) for job in shared.wanted]
        self._let_go(error)
        for part in parts:
            self.run(part, ("smaller_batch",) if is_out_of_memory(error) else degraded)

    def _call(self, entry: ModelEntry, shared: Pass, degraded: tuple[str, ...]) -> Exception | None:
        """Why there are no outputs, unless nobody wants them."""
        try:
            pipeline = self._pipelines.get(entry.key)
            keeper = self._keeper(entry, shared.jobs)
            showing = Showing(shared, self._to_be_shown, self.report)
            shared.begin(self._pipelines.warm, keeper.first_step if keeper else 0)
            inputs = {name: Path(path) for name, path in shared.jobs[0].inputs.items()}
            params = [job.params for job in shared.jobs]
            ways = rungs(pipeline, self._device) if len(params) == 1 else []
            started = time.perf_counter()
            kind = f"{len(params)} of {entry.key} {entry.sizes(params[0])}"
            with self._admission.run(kind, partial(self._pipelines.evict, entry.key)):
                outputs, taken = self._ladder.run(
                    kind, ways, lambda: generate(pipeline, entry, params, inputs, shared.on_step, keeper, showing.look)
                )
        except StopRequested:
            return None
        except Exception as error:
            return error
        execution = Execution(
            generate_seconds=time.perf_counter() - started,
            batch=len(params),
            speedups=self._pipelines.speedups(entry.key),
            degraded=(*degraded, *taken),
            resumed_at_step=keeper.first_step if keeper else 0,
        )
        for job, output in zip(shared.jobs, outputs, strict=True):
            if job in shared.wanted:
                self._hand_on(job, entry, output, execution)
        return None

    def _edit(self, entry: ModelEntry, shared: Pass) -> Exception | None:
        """Why there is no film, unless nobody wants one."""
        try:
            shared.begin(self._pipelines.warm)
            [job] = shared.jobs
            path = Path(job.folder) / f"output.{entry.output.format.value}"
            inputs = {name: Path(given) for name, given in job.inputs.items()}
            started = time.perf_counter()
            edit(entry, job.params, inputs, path, shared.on_step)
        except StopRequested:
            return None
        except Exception as error:
            return error
        self._hand_on(job, entry, File(path), Execution(generate_seconds=time.perf_counter() - started))
        return None

    def _keeper(self, entry: ModelEntry, jobs: Sequence[RunJob]) -> Keeper | None:
        if entry.checkpoint_seconds is None or len(jobs) > 1:
            return None
        [job] = jobs

        def saved(step: int, path: Path) -> None:
            self.report(Saved(task_id=job.task_id, attempt=job.attempt, step=step, path=str(path)))

        start = read(Path(job.checkpoint)) if job.checkpoint else None
        return Keeper(entry.checkpoint_seconds, Path(job.folder), start, saved)

    def _hand_on(self, job: RunJob, entry: ModelEntry, output: RawMedia | UnusableOutput, execution: Execution) -> None:
        if isinstance(output, UnusableOutput):
            self._report_failure(job, output)
            return
        device = describe(self._device)
        self.report(Generated(task_id=job.task_id, attempt=job.attempt, execution=execution, device=device))
        self._encoding.submit(self._encode, job, entry, output)

    def _encode(self, job: RunJob, entry: ModelEntry, media: RawMedia) -> None:
        try:
            path = encode(media, entry.output.format, Path(job.folder))
            size, sha256 = size_and_sha256(path)
            comparison = compare(path, sha256, job.original) if job.original else None
        except Exception as error:
            self._report_failure(job, error)
        else:
            self.report(
                Encoded(
                    task_id=job.task_id,
                    attempt=job.attempt,
                    path=str(path),
                    size=size,
                    sha256=sha256,
                    comparison=comparison,
                )
            )

    def _report_failure(self, job: RunJob, error: Exception) -> None:
        failure = classify(error)
        log.error(
            "an attempt failed",
            correlation_id=job.correlation_id,
            task_id=job.task_id,
            attempt=job.attempt,
            code=failure.problem.code,
            exc_info=error,
        )
        self._let_go(error)
        self.report(
            Failed(
                task_id=job.task_id,
                attempt=job.attempt,
                problem=failure.problem,
                broken=failure.broken,
                device_fault=failure.device_fault,
            )
        )

    def _let_go(self, error: Exception) -> None:
        # The traceback holds on to the tensors of the failed run.
        error.__traceback__ = None
        self._pipelines.clean_up()
