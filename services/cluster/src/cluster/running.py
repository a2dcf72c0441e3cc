"""The cluster as one thing: planned, supervised, and written down where others find it."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from embedded.processes import ProcessFailed

from cluster.plan import DATABASES, Plan
from cluster.secrets_file import load_or_create
from cluster.settings import ClusterSettings
from cluster.supervisor import Supervisor
from cluster.units import Unit

log = structlog.get_logger(__name__)

WRITE_EVERY_SECONDS = 2


class AlreadyUp(Exception):
    """A cluster runs from the same folder already."""


@dataclass(frozen=True)
class Cluster:
    plan: Plan
    supervisor: Supervisor

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.plan.ports.gateway}"

    @property
    def admin_key(self) -> str:
        return self.plan.secrets.admin_key


@contextmanager
def cluster(settings: ClusterSettings) -> Iterator[Cluster]:
    """A running cluster, gone at the end. Raises `AlreadyUp`, `ProcessFailed`, `PostgresMissing`, `BrokerFailed`."""
    folder = settings.data
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder):
        plan = Plan.make(settings, load_or_create(folder, DATABASES))
        supervisor = Supervisor([_with_topics(unit, plan) for unit in plan.units()], folder)
        with supervisor.running():
            yield Cluster(plan, supervisor)


def supervise(settings: ClusterSettings) -> None:
    """Runs the cluster until SIGTERM or SIGINT, and keeps `cluster.json` true."""
    told_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: told_to_stop.set())
    with cluster(settings) as running:
        try:
            while True:
                try:
                    _write(settings.data, running)
                except OSError as error:
                    log.warning("what runs cannot be written down", reason=str(error))
                if told_to_stop.wait(WRITE_EVERY_SECONDS):
                    break
        finally:
            state_file(settings.data).unlink(missing_ok=True)


def is_up(folder: Path) -> bool:
    """Whether a supervisor holds the folder; what it wrote may have outlived it."""
    try:
        with _only_one(folder):
            return False
    except AlreadyUp:
        return True


def state_file(folder: Path) -> Path:
    return folder / "cluster.json"


def _write(folder: Path, running: Cluster) -> None:
    units = [
        {
            "name": kept.unit.name,
            "state": kept.state,
            "pid": kept.process.pid if kept.process is not None else None,
            "restarts": kept.restarts,
            "address": kept.unit.address,
            "log": str(kept.log),
        }
        for kept in running.supervisor.kept.values()
    ]
    path = state_file(folder)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps({"pid": os.getpid(), "api": running.api, "units": units}, indent=2))
    partial.rename(path)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyUp(f"a cluster runs from {folder} already; `make down` stops it") from None
        yield


def _with_topics(unit: Unit, plan: Plan) -> Unit:
    """The broker is of use once its topics are there."""
    if unit.name != "broker":
        return unit
    script = plan.settings.create_topics.resolve()
    return replace(unit, finish=lambda: _create_topics(script, plan.broker_environment()))


def _create_topics(script: Path, environment: Mapping[str, str]) -> None:
    answer = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    if answer.returncode != 0:
        raise ProcessFailed(f"the broker has no topics: {answer.stderr.strip()[-2000:]}")
