"""Whether a worker can be trusted with work: does the bus hear it, and does its device hold up."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.identifiers import TaskId
from contracts.workers import WorkerState

STOP_BEFORE_THE_LEASE_IS_OVER = 2 / 3


@dataclass
class Hearing:
    """Whether this worker reaches the bus, judged by whether it hears itself on it."""

    last_heard: datetime | None = None
    draining: bool = field(default=False)
    drained_by: str | None = None
    """The operator who wants this worker to take nothing more, until one wants it to again."""

    @property
    def takes_work(self) -> bool:
        return not self.draining and self.drained_by is None

    def lost(self, given_at: datetime, lease: timedelta, now: datetime) -> bool:
        """Whether so little was heard that others may soon take over a task that was given then."""
        heard = max(given_at, self.last_heard or given_at)
        return now - heard > lease * STOP_BEFORE_THE_LEASE_IS_OVER


@dataclass
class DeviceFaults:
    """What the device, and the process that drives it, did wrong since they last did right.

    One task that brings every engine down is that task's fault; several that do are the device's.
    """

    most: int = 3
    rest: timedelta = timedelta(minutes=10)
    """How long a device that has failed too often is left alone before it is tried again."""
    hardware: str | None = None
    """What the hardware itself reported; only a new process, on a device that was reset or swapped, forgets it."""
    _failed: list[tuple[TaskId, datetime, str]] = field(default_factory=list)

    def happened(self, task_id: TaskId, now: datetime, what: str) -> None:
        self._failed = [*self._failed, (task_id, now, what)][-self.most :]

    def did_right(self) -> None:
        self._failed = []

    def quarantine(self, now: datetime) -> str | None:
        """Why the device gets no work now, or nothing."""
        if self.hardware is not None:
            return self.hardware
        if len(self._failed) < self.most or len({task_id for task_id, _, _ in self._failed}) == 1:
            return None
        _, last, what = self._failed[-1]
        until = last + self.rest
        return f"{self.most} runs in a row failed on this device, the last: {what}" if now < until else None


@dataclass(frozen=True)
class Condition:
    """Everything that a worker's state is judged by."""

    engine_ready: bool
    was_ready: bool
    setup_failure: str | None
    """Why the engine did not come up the last time it was tried."""
    quarantine: str | None
    draining: bool
    heard_itself: bool
    busy: bool
    drained_by: str | None = None


def worker_state(now: Condition) -> tuple[WorkerState, str | None]:
    """The state, and the reason where a person needs one."""
    if now.draining:
        return WorkerState.DRAINING, None
    if now.drained_by is not None:
        return WorkerState.DRAINING, f"{now.drained_by} wants it to take no more work"
    if now.quarantine:
        return WorkerState.DEFUNCT, now.quarantine
    if not now.engine_ready and now.setup_failure:
        return WorkerState.SETUP_FAILED, now.setup_failure
    if not now.engine_ready:
        return WorkerState.UNHEALTHY if now.was_ready else WorkerState.STARTING, None
    if not now.heard_itself:
        return WorkerState.STARTING, None
    return WorkerState.BUSY if now.busy else WorkerState.READY, None
