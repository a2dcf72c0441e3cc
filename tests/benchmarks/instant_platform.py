"""The embedded platform with engines that take no time: what is left is the platform itself."""

from contextlib import nullcontext

from chassis.logs import configure_logs
from chassis.outside import Outside
from chassis.service import Service
from embedded.running import run
from embedded.settings import EmbeddedSettings
from gpu_worker.app import create_around
from gpu_worker.settings import WorkerSettings
from gpu_worker.testing import ScriptedEngine


def instant_worker(settings: WorkerSettings, outside: Outside) -> Service:
    return create_around(ScriptedEngine(), nullcontext, settings, outside)


if __name__ == "__main__":
    configure_logs("WARNING")
    run(EmbeddedSettings(), instant_worker)
