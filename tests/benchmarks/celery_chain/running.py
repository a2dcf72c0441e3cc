"""Redis and a Celery worker of two processes, for as long as they are measured."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from embedded.processes import Process, end_of, free_ports, spawn, stop

from tests.benchmarks.celery_chain.app import BROKER, FOLDER, RECEIVER, app, submit
from tests.benchmarks.distributed.measuring import Receiver

PROCESSES = 2
UP_WITHIN_SECONDS = 30


class RedisMissing(Exception):
    """There is no Redis server on this machine; the text says what to do."""


@dataclass(frozen=True)
class CelerySystem:
    """What is measured of Celery."""

    name: str
    receiver: Receiver
    running: Mapping[str, Process]

    async def submit(self) -> str:
        return await asyncio.to_thread(submit)

    def processes(self) -> dict[str, psutil.Process]:
        return {name: psutil.Process(process.pid) for name, process in self.running.items()}


@contextmanager
def celery_system(folder: Path, receiver: Receiver) -> Iterator[CelerySystem]:
    """Raises `RedisMissing`."""
    redis = shutil.which("redis-server")
    if redis is None:
        raise RedisMissing("no Redis server here to compare with: install one (Debian: apt-get install redis-server)")
    folder.mkdir(parents=True)
    [port] = free_ports(1)
    url = f"redis://127.0.0.1:{port}/0"
    environment = {BROKER: url, FOLDER: str(folder), RECEIVER: receiver.url}
    os.environ.update(environment)
    app.conf.update(broker_url=url, result_backend=url)
    server = spawn([redis, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)], {}, folder / "redis.log")
    try:
        module = "tests.benchmarks.celery_chain.app"
        options = ["--concurrency", str(PROCESSES), "--loglevel", "WARNING", "--task-events"]
        command = [sys.executable, "-m", "celery", "-A", module, "worker", *options]
        worker = spawn(command, environment, folder / "worker.log")
        try:
            _until_up(folder / "worker.log")
            yield CelerySystem(f"Celery, {PROCESSES} processes", receiver, {"celery worker": worker, "redis": server})
        finally:
            stop(worker)
    finally:
        stop(server)


def _until_up(log: Path) -> None:
    deadline = time.monotonic() + UP_WITHIN_SECONDS
    while not app.control.ping(timeout=1):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no Celery worker answers. The end of {log}:\n{end_of(log)}")
