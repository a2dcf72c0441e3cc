"""A unit: one process of the cluster, and everything needed to start it again."""

import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Check = Callable[[], bool]


def _nothing() -> None:
    return


@dataclass(frozen=True)
class Unit:
    name: str
    command: Sequence[str]
    ready: Check
    """Whether it can be used by those that are started after it."""
    address: str = ""
    """Where a person would look for it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """Whom it runs as; the caller when left out."""
    prepare: Callable[[], None] = _nothing
    """Done before every start, and can be done again."""
    finish: Callable[[], None] = _nothing
    """Done once it is ready, and can be done again."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 10
    stage: int = 0
    """Units of a stage are started together, once all of the stages before are ready."""


def listens(port: int, host: str = "127.0.0.1") -> Check:
    def check() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((host, port)) == 0

    return check
