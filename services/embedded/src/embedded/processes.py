"""daprd and the Dapr scheduler as child processes: started on free ports, and gone when we are."""

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

UP_WITHIN_SECONDS = 60
STOPPED_WITHIN_SECONDS = 10
PORTS = range(15_000, 32_000)
"""Below those that Linux takes for outgoing connections (`ip_local_port_range`): one of these may be free when it is
looked for, and belong to anybody's connection by the time its server starts."""
_given: set[int] = set()
SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


class ProcessFailed(Exception):
    """A child process did not come up, or has ended; the text holds the end of its log."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses and that this function has not returned before in this process."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if port not in _given and _is_free(port):
            _given.add(port)
            found.append(port)
        if len(found) == count:
            return found
    raise ProcessFailed(f"{count} free ports were wanted, and only {len(found)} are left between {PORTS}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class SidecarPorts:
    app: int | None
    """Where the process beside it listens; None for one that only publishes."""
    http: int
    grpc: int
    internal: int
    metrics: int


@dataclass(frozen=True)
class SchedulerPorts:
    listen: int
    health: int
    metrics: int
    client: int
    peer: int

    @classmethod
    def choose(cls) -> "SchedulerPorts":
        return cls(*free_ports(5))


Process = subprocess.Popen[bytes]


def scheduler_command(binary: Path, data: Path, ports: SchedulerPorts) -> list[str]:
    name = "dapr-scheduler-server-0"
    return [
        str(binary),
        f"--id={name}",
        "--listen-address=127.0.0.1",
        f"--port={ports.listen}",
        f"--override-broadcast-host-port=127.0.0.1:{ports.listen}",
        f"--healthz-port={ports.health}",
        "--healthz-listen-address=127.0.0.1",
        f"--metrics-port={ports.metrics}",
        "--metrics-listen-address=127.0.0.1",
        f"--etcd-data-dir={data}",
        f"--etcd-client-port={ports.client}",
        f"--etcd-initial-cluster={name}=http://127.0.0.1:{ports.peer}",
    ]


def daprd_command(binary: Path, app_id: str, components: Path, ports: SidecarPorts, scheduler_port: int) -> list[str]:
    app = [f"--app-port={ports.app}", "--app-protocol=http"] if ports.app is not None else []
    return [
        str(binary),
        f"--app-id={app_id}",
        *app,
        f"--dapr-http-port={ports.http}",
        f"--dapr-grpc-port={ports.grpc}",
        f"--dapr-internal-grpc-port={ports.internal}",
        "--dapr-listen-addresses=127.0.0.1",
        "--dapr-internal-grpc-listen-address=127.0.0.1",
        f"--metrics-port={ports.metrics}",
        "--metrics-listen-address=127.0.0.1",
        f"--resources-path={components}",
        f"--config={components / 'config.yaml'}",
        f"--scheduler-host-address=127.0.0.1:{scheduler_port}",
        "--dapr-graceful-shutdown-seconds=5",
        "--log-level=info",
    ]


@contextmanager
def scheduler(binary: Path, data: Path, ports: SchedulerPorts, log: Path) -> Iterator[Process]:
    # After a kill the scheduler would wait 20 s for its own old leadership to run out. Nothing in its
    # data is missed: every service sets its alarms anew when it starts.
    shutil.rmtree(data, ignore_errors=True)
    with _running(scheduler_command(binary, data, ports), {}, log) as process:
        _wait_until(process, log, lambda: answers(f"http://127.0.0.1:{ports.health}/healthz"))
        yield process


@contextmanager
def daprd(
    binary: Path,
    app_id: str,
    components: Path,
    ports: SidecarPorts,
    scheduler_port: int,
    environment: Mapping[str, str],
    log: Path,
) -> Iterator[Process]:
    command = daprd_command(binary, app_id, components, ports, scheduler_port)
    with _running(command, environment, log) as process:
        outbound = f"http://127.0.0.1:{ports.http}/v1.0/healthz/outbound"
        _wait_until(process, log, lambda: answers(outbound))
        yield process


def spawn(command: Sequence[str], environment: Mapping[str, str], log: Path, **how: Any) -> Process:
    """A child that dies with us. Call it from a thread that lives as long as the child shall; `how` is Popen's."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A terminal's Ctrl-C must reach us alone, so that the services can still talk while they stop.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - set before any thread is
            **how,
        )


def stop(process: Process, number: signal.Signals = signal.SIGTERM, within: float = STOPPED_WITHIN_SECONDS) -> None:
    """Ends the process, by SIGKILL when it does not go in time."""
    process.send_signal(number)
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Process]:
    process = spawn(command, environment, log)
    try:
        yield process
    finally:
        stop(process)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def check_alive(process: Process, log: Path) -> None:
    """Raises `ProcessFailed` with the end of its log when the process has ended."""
    if process.poll() is not None:
        raise ProcessFailed(f"{log.stem} ended with exit code {process.returncode}. The end of {log}:\n{end_of(log)}")


def _wait_until(process: Process, log: Path, up: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not up():
        check_alive(process, log)
        if time.monotonic() - started > UP_WITHIN_SECONDS:
            raise ProcessFailed(f"{log.stem} was not up after {UP_WITHIN_SECONDS} s. The end of {log}:\n{end_of(log)}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        return _http().get(url).is_success
    except httpx.TransportError:
        return False


@cache
def _http() -> httpx.Client:
    """One for all questions: making a client costs more than asking."""
    return httpx.Client(timeout=2, trust_env=False)


def end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
