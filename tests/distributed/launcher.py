"""Starts a service as the cluster does, with a clock that may be wrong, and workers with a scripted engine.

`python -m tests.distributed.launcher submission`; the environment says how wrong.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import chassis.clock
from chassis.outside import Outside
from chassis.process import run_service
from chassis.service import Service
from contracts.errors import Problem
from gpu_worker.app import create_around
from gpu_worker.protocol import Failed, Generated, JobReport, RunJob, Stepped, Stopped
from gpu_worker.settings import WorkerSettings
from gpu_worker.testing import ScriptedEngine, instantly

CLOCK_OFFSET, RUNS = "TEST_CLOCK_OFFSET_SECONDS", "TEST_RUNS_LOG"
STEP_SECONDS = 0.05
BROKEN = Problem.of("engine-broken", "The engine is broken", "the prompt asked for it", retryable=True)


class WrongClock:
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(os.environ.get(CLOCK_OFFSET, "0")))


async def as_the_prompt_says(engine: ScriptedEngine, job: RunJob) -> AsyncGenerator[JobReport]:
    """By default a step every 50 ms. A prompt of "slow S" takes S seconds a step, one of "fail N" fails N attempts.

    Every run leaves a line when it ends.
    """
    word, _, number = str(job.params["prompt"]).partition(" ")
    step_seconds = float(number) if word == "slow" else STEP_SECONDS
    began, outcome = time.time(), "killed"
    try:
        async for report in instantly(engine, job):
            if isinstance(report, Stepped):
                await asyncio.sleep(step_seconds)
            if isinstance(report, Stopped | Generated):
                outcome = type(report).__name__.lower()
            if isinstance(report, Generated) and word == "fail" and job.attempt <= int(number):
                yield Failed(task_id=job.task_id, attempt=job.attempt, problem=BROKEN)
                return
            yield report
    finally:
        line = {"task_id": job.task_id, "attempt": job.attempt, "from": began, "to": time.time(), "outcome": outcome}
        await asyncio.to_thread(note_run, json.dumps(line))


def note_run(line: str) -> None:
    with Path(os.environ[RUNS]).open("a") as file:
        file.write(line + "\n")


def scripted_worker(settings: WorkerSettings, outside: Outside) -> Service:
    return create_around(ScriptedEngine(as_the_prompt_says), nullcontext, settings, outside)


def main() -> None:
    package = sys.argv[1]
    chassis.clock.SystemClock.now = WrongClock.now  # type: ignore[assignment, method-assign]
    if package == "gpu_worker":
        run_service(scripted_worker, WorkerSettings)
        return
    settings: Any = importlib.import_module(f"{package}.settings")
    [found] = [value for name, value in vars(settings).items() if name.lower() == f"{package}settings"]
    run_service(importlib.import_module(f"{package}.app").create, found)


if __name__ == "__main__":
    main()
