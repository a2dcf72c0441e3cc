"""Starts a service as the cluster does, and workers with an engine that takes no time.

`python -m tests.benchmarks.distributed.launcher submission`
"""

import runpy
import sys
from contextlib import nullcontext

from chassis.outside import Outside
from chassis.process import run_service
from chassis.service import Service
from gpu_worker.app import create_around
from gpu_worker.settings import WorkerSettings
from gpu_worker.testing import ScriptedEngine


def instant_worker(settings: WorkerSettings, outside: Outside) -> Service:
    return create_around(ScriptedEngine(), nullcontext, settings, outside)


if __name__ == "__main__":
    if sys.argv[1] == "gpu_worker":
        run_service(instant_worker, WorkerSettings)
    else:
        runpy.run_module(sys.argv[1], run_name="__main__")
