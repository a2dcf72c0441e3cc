"""daprd and the Dapr scheduler as child processes: started on free ports, and gone when we are."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

UP_WITHIN_SECONDS = 60
STOPPED_WITHIN_SECONDS = 10
SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


class ProcessFailed(Exception):
    """A child process did not come up, or has ended; the text holds the end of its log."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on. All are held until all are found, so that none comes twice."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind(("127.0.0.1", 0))
            found.append(listener.getsockname()[1])
        return found


@dataclass(frozen=True)
class DaprPorts:
    app: int
    http: int
    grpc: int
    internal: int
    metrics: int
    scheduler: int
    scheduler_health: int
    scheduler_metrics: int
    scheduler_client: int
    scheduler_peer: int

    @classmethod
    def choose(cls, app: int) -> "DaprPorts":
        return cls(app or free_ports(1)[0], *free_ports(9))


Process = subprocess.Popen[bytes]


@contextmanager
def scheduler(binary: Path, data: Path, ports: DaprPorts, log: Path) -> Iterator[Process]:
    # After a kill the scheduler would wait 20 s for its own old leadership to run out. Nothing in its
    # data is missed: every service sets its alarms anew when it starts.
    shutil.rmtree(data, ignore_errors=True)
    name = "dapr-scheduler-server-0"
    command = [
        str(binary),
        f"--id={name}",
        "--listen-address=127.0.0.1",
        f"--port={ports.scheduler}",
        f"--override-broadcast-host-port=127.0.0.1:{ports.scheduler}",
        f"--healthz-port={ports.scheduler_health}",
        "--healthz-listen-address=127.0.0.1",
        f"--metrics-port={ports.scheduler_metrics}",
        "--metrics-listen-address=127.0.0.1",
        f"--etcd-data-dir={data}",
        f"--etcd-client-port={ports.scheduler_client}",
        f"--etcd-initial-cluster={name}=http://127.0.0.1:{ports.scheduler_peer}",
    ]
    with _running(command, {}, log) as process:
        _wait_until(process, log, lambda: _answers(f"http://127.0.0.1:{ports.scheduler_health}/healthz"))
        yield process


@contextmanager
def daprd(
    binary: Path, app_id: str, components: Path, ports: DaprPorts, environment: Mapping[str, str], log: Path
) -> Iterator[Process]:
    command = [
        str(binary),
        f"--app-id={app_id}",
        f"--app-port={ports.app}",
        "--app-protocol=http",
        f"--dapr-http-port={ports.http}",
        f"--dapr-grpc-port={ports.grpc}",
        f"--dapr-internal-grpc-port={ports.internal}",
        "--dapr-listen-addresses=127.0.0.1",
        "--dapr-internal-grpc-listen-address=127.0.0.1",
        f"--metrics-port={ports.metrics}",
        "--metrics-listen-address=127.0.0.1",
        f"--resources-path={components}",
        f"--config={components / 'config.yaml'}",
        f"--scheduler-host-address=127.0.0.1:{ports.scheduler}",
        "--dapr-graceful-shutdown-seconds=5",
        "--log-level=info",
    ]
    with _running(command, environment, log) as process:
        outbound = f"http://127.0.0.1:{ports.http}/v1.0/healthz/outbound"
        _wait_until(process, log, lambda: _answers(outbound))
        yield process


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Process]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A terminal's Ctrl-C must reach us alone, so that the services can still talk while they stop.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - set before any thread is
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOPPED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def check_alive(process: Process, log: Path) -> None:
    """Raises `ProcessFailed` with the end of its log when the process has ended."""
    if process.poll() is not None:
        raise ProcessFailed(f"{log.stem} ended with exit code {process.returncode}. The end of {log}:\n{_end_of(log)}")


def _wait_until(process: Process, log: Path, up: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not up():
        check_alive(process, log)
        if time.monotonic() - started > UP_WITHIN_SECONDS:
            raise ProcessFailed(f"{log.stem} was not up after {UP_WITHIN_SECONDS} s. The end of {log}:\n{_end_of(log)}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
