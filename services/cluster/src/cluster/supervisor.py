"""Keeps the cluster's units running, as a kubelet would: what dies is started again, a little later each time."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
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
    """Use it from one thread; its own thread only starts again what died."""

    def __init__(self, units: Sequence[Unit], folder: Path) -> None:
        logs = folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.kept = {unit.name: Kept(unit, logs / f"{unit.name}.log") for unit in units}
        self._lock = threading.RLock()
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Starts everything, stage by stage; stops everything in the reverse order. Raises `ProcessFailed`."""
        watching = threading.Thread(target=self._watch, name="supervisor")
        try:
            for stage in sorted({kept.unit.stage for kept in self.kept.values()}):
                self._start_stage([kept for kept in self.kept.values() if kept.unit.stage == stage])
            watching.start()
            yield
        finally:
            self._over.set()
            if watching.is_alive():
                watching.join()
            self._stop_everything()

    def start(self, *names: str) -> None:
        """Starts what was put down, and waits until it is ready."""
        self.start_without_waiting(*names)
        self._until_ready([self.kept[name] for name in names])

    def start_without_waiting(self, *names: str) -> None:
        with self._lock:
            for name in names:
                self._spawn(self.kept[name])

    def put_down(self, *names: str) -> None:
        """Stops units as an operator would; they stay down."""
        for name in names:
            kept = self.kept[name]
            kept.wanted = False
            if kept.process is not None and kept.alive:
                stop(kept.process, kept.unit.stop_signal, kept.unit.stop_within)

    def kill(self, *names: str, again: bool = True) -> None:
        """SIGKILL, all at once; with `again` they are started again soon."""
        with self._lock:
            for name in names:
                kept = self.kept[name]
                kept.wanted = again
                if kept.process is not None:
                    kept.process.kill()
                    kept.process.wait()

    def change(self, name: str, **environment: str) -> None:
        """What the unit finds in its environment from its next start on."""
        kept = self.kept[name]
        kept.unit = replace(kept.unit, environment={**kept.unit.environment, **environment})

    def send(self, number: int, *names: str) -> None:
        for name in names:
            if (process := self.kept[name].process) is not None:
                process.send_signal(number)

    def _start_stage(self, stage: Sequence[Kept]) -> None:
        for kept in stage:
            self._spawn(kept)
        self._until_ready(stage)

    def _until_ready(self, some: Iterable[Kept]) -> None:
        for kept in some:
            deadline = time.monotonic() + UP_WITHIN_SECONDS
            while not kept.unit.ready():
                if time.monotonic() > deadline:
                    raise ProcessFailed(f"{kept.unit.name} is not up. The end of {kept.log}:\n{end_of(kept.log)}")
                if not self._over.is_set() and not kept.alive:
                    self._again(kept)
                time.sleep(0.05)
            kept.unit.finish()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY_SECONDS):
            with self._lock:
                for kept in self.kept.values():
                    if kept.wanted and not kept.alive:
                        self._again(kept)

    def _again(self, kept: Kept) -> None:
        """Notes the death, and when its time has come starts the unit again."""
        now = time.monotonic()
        if kept.again_at == 0.0:
            if now - kept.started > STABLE_AFTER_SECONDS:
                kept.wait = FIRST_WAIT_SECONDS
            code = kept.process.returncode if kept.process is not None else None
            log.warning("a unit has died", unit=kept.unit.name, exit_code=code, again_in_seconds=kept.wait)
            kept.again_at = now + kept.wait
            kept.wait = min(LONGEST_WAIT_SECONDS, 2 * kept.wait)
        elif now >= kept.again_at:
            kept.restarts += 1
            self._spawn(kept)

    def _spawn(self, kept: Kept) -> None:
        unit = kept.unit
        unit.prepare()
        user = {"user": unit.user} if unit.user else {}
        kept.process = spawn(unit.command, unit.environment, kept.log, **user)
        kept.wanted, kept.started, kept.again_at = True, time.monotonic(), 0.0

    def _stop_everything(self) -> None:
        """Services first, while what they stand on still runs; within a stage all at once."""
        for stage in sorted({kept.unit.stage for kept in self.kept.values()}, reverse=True):
            some = [kept for kept in self.kept.values() if kept.unit.stage == stage]
            processes = [kept for kept in some if kept.alive and not kept.unit.name.endswith("-daprd")]
            sidecars = [kept for kept in some if kept.alive and kept.unit.name.endswith("-daprd")]
            for together in (processes, sidecars):
                threads = [threading.Thread(target=self.put_down, args=(kept.unit.name,)) for kept in together]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
