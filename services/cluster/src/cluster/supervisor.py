"""Keeps the cluster's units running, as a kubelet would: what dies is started again, a little later each time."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from embedded.processes import Process, ProcessFailed, end_of, spawn, stop

from cluster.units import Unit

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 0.2
UP_WITHIN_SECONDS = 120
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 10.0
STABLE_AFTER_SECONDS = 20.0


@dataclass
class Kept:
    """A unit as it is: running, waiting to be started again, or put down on purpose."""

    unit: Unit
    log: Path
    wanted: bool = False
    process: Process | None = None
    started: float = 0.0
    restarts: int = 0
    wait: float = FIRST_WAIT_SECONDS
    again_at: float = 0.0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def state(self) -> str:
        if not self.wanted:
            return "stopped"
        if not self.alive:
            return "restarting"
        return "ready" if self.unit.ready() else "starting"


class Supervisor:
    """Use it from one thread. Its own starts whatever shall run and does not: children die with their thread."""

    def __init__(self, units: Sequence[Unit], folder: Path) -> None:
        logs = folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.kept = {unit.name: Kept(unit, logs / f"{unit.name}.log") for unit in units}
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._failed: Exception | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Starts everything, stage by stage; stops everything in the reverse order. Raises `ProcessFailed`."""
        watching = threading.Thread(target=self._watch, name="supervisor")
        watching.start()
        try:
            for stage in sorted({kept.unit.stage for kept in self.kept.values()}):
                self.start(*(name for name, kept in self.kept.items() if kept.unit.stage == stage))
            yield
        finally:
            self._stop_everything()
            self._over.set()
            watching.join()

    def start(self, *names: str) -> None:
        """Starts what was put down, and waits until it is ready. Raises `ProcessFailed`."""
        self.start_without_waiting(*names)
        for name in names:
            self._wait_for(self.kept[name])

    def start_without_waiting(self, *names: str) -> None:
        with self._lock:
            for name in names:
                self.kept[name].wanted = True

    def put_down(self, *names: str) -> None:
        """Stops units as an operator would, all at once; they stay down."""
        with self._lock:
            some = [self.kept[name] for name in names]
            for kept in some:
                kept.wanted = False
        threads = [threading.Thread(target=_stop, args=(kept,)) for kept in some]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def kill(self, *names: str, again: bool = True) -> None:
        """SIGKILL, all at once; with `again` they are started again soon."""
        with self._lock:
            for name in names:
                kept = self.kept[name]
                kept.wanted, kept.wait = again, FIRST_WAIT_SECONDS
                if kept.process is not None:
                    kept.process.kill()
                    kept.process.wait()
                if not again:
                    kept.process = None

    def change(self, name: str, **environment: str) -> None:
        """What the unit finds in its environment from its next start on."""
        kept = self.kept[name]
        kept.unit = replace(kept.unit, environment={**kept.unit.environment, **environment})

    def pid(self, name: str) -> int | None:
        process = self.kept[name].process
        return process.pid if process is not None else None

    def send(self, number: int, *names: str) -> None:
        for name in names:
            if (process := self.kept[name].process) is not None:
                process.send_signal(number)

    def _wait_for(self, kept: Kept) -> None:
        deadline = time.monotonic() + UP_WITHIN_SECONDS
        while not (kept.alive and kept.unit.ready()):
            if self._failed is not None:
                raise self._failed
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{kept.unit.name} is not up. The end of {kept.log}:\n{end_of(kept.log)}")
            time.sleep(0.05)
        kept.unit.finish()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY_SECONDS):
            with self._lock:
                for kept in self.kept.values():
                    if kept.wanted and not kept.alive:
                        self._bring_up(kept)

    def _bring_up(self, kept: Kept) -> None:
        """At once what was not there; what died a little later, each time it dies."""
        now = time.monotonic()
        if now >= kept.again_at and (kept.process is None or kept.again_at):
            kept.restarts += kept.process is not None
            self._spawn(kept)
        elif kept.process is not None and not kept.again_at:
            if now - kept.started > STABLE_AFTER_SECONDS:
                kept.wait = FIRST_WAIT_SECONDS
            code = kept.process.returncode
            log.warning("a unit has died", unit=kept.unit.name, exit_code=code, again_in_seconds=kept.wait)
            kept.again_at = now + kept.wait
            kept.wait = min(LONGEST_WAIT_SECONDS, 2 * kept.wait)

    def _spawn(self, kept: Kept) -> None:
        unit = kept.unit
        user = {"user": unit.user} if unit.user else {}
        try:
            unit.prepare()
            kept.process = spawn(unit.command, unit.environment, kept.log, **user)
        except Exception as error:
            log.exception("a unit cannot be started", unit=unit.name)
            if kept.started == 0.0:
                # Raised to whoever waits for the first start.
                self._failed, kept.wanted = error, False
            kept.again_at = time.monotonic() + LONGEST_WAIT_SECONDS
            return
        kept.started, kept.again_at = time.monotonic(), 0.0

    def _stop_everything(self) -> None:
        """Services first, while what they stand on still runs; processes before their sidecars."""
        for stage in sorted({kept.unit.stage for kept in self.kept.values()}, reverse=True):
            names = [name for name, kept in self.kept.items() if kept.unit.stage == stage]
            self.put_down(*(name for name in names if not name.endswith("-daprd")))
            self.put_down(*(name for name in names if name.endswith("-daprd")))


def _stop(kept: Kept) -> None:
    process, kept.process = kept.process, None
    if process is not None and process.poll() is None:
        stop(process, kept.unit.stop_signal, kept.unit.stop_within)
