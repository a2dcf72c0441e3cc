"""`up` starts the cluster in the background and shows it, `down` stops it, `status` shows it, `logs` follows it."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
from chassis.logs import configure_logs
from contracts.views import API
from embedded.processes import ProcessFailed
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from cluster.broker import BrokerFailed
from cluster.postgres import PostgresMissing
from cluster.running import AlreadyUp, is_up, state_file, supervise
from cluster.settings import ClusterSettings

UP_WITHIN_SECONDS = 300
DOWN_WITHIN_SECONDS = 90
COLOURS = {"ready": "green", "starting": "yellow", "restarting": "red", "stopped": "dim"}
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    commands: dict[str, Callable[[ClusterSettings, str | None], None]] = {
        "up": lambda settings, _: up(settings),
        "down": lambda settings, _: down(settings),
        "status": lambda settings, _: status(settings),
        "logs": logs,
        "supervise": lambda settings, _: _supervise(settings),
    }
    parser.add_argument("command", choices=commands)
    parser.add_argument("unit", nargs="?", help="for logs: whose, such as storage-0; all when left out")
    arguments = parser.parse_args()
    try:
        settings = ClusterSettings()
    except ValidationError as error:
        sys.exit(
            "A setting is missing or wrong. All begin with MOVIE_TASKS_CLUSTER_; `make up` sets what is needed."
            f"\n{error}"
        )
    commands[arguments.command](settings, arguments.unit)


def up(settings: ClusterSettings) -> None:
    found = _state(settings)
    if found is not None:
        console.print("The cluster is up already.")
        _show(settings, found)
        return
    settings.data.mkdir(parents=True, exist_ok=True)
    log = settings.data / "supervisor.log"
    with log.open("wb") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "cluster", "supervise"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with console.status("starting broker, Postgres, S3, scheduler and the services; about half a minute"):
        deadline = time.monotonic() + UP_WITHIN_SECONDS
        while time.monotonic() < deadline:
            found = _state(settings)
            if found is not None and _takes_work(found["api"]):
                break
            if supervisor.poll() is not None:
                sys.exit(f"The cluster did not start.\n{log.read_text()[-4000:]}")
            time.sleep(0.2)
        else:
            sys.exit(f"The cluster takes no work after {UP_WITHIN_SECONDS} s; `make status` and `make logs` say more.")
    _show(settings, found)


def down(settings: ClusterSettings) -> None:
    found = _state(settings)
    if found is None:
        console.print("No cluster is up.")
        return
    os.kill(found["pid"], signal.SIGTERM)
    with console.status("finishing what runs, and stopping"):
        deadline = time.monotonic() + DOWN_WITHIN_SECONDS
        while _state(settings) is not None:
            if time.monotonic() > deadline:
                sys.exit(f"The cluster is still stopping; its supervisor is process {found['pid']}.")
            time.sleep(0.1)
    console.print("The cluster is down. What it keeps lies in", settings.data)


def status(settings: ClusterSettings) -> None:
    found = _state(settings)
    if found is None:
        sys.exit("No cluster is up; `make up` starts one.")
    _show(settings, found)


def logs(settings: ClusterSettings, unit: str | None) -> None:
    files = sorted((settings.data / "logs").glob(f"{unit or '*'}.log"))
    if not files:
        sys.exit(f"No log of {unit or 'anything'} in {settings.data / 'logs'}.")
    os.execvp("tail", ["tail", "-n", "20", "-F", *map(str, files)])  # noqa: S606 - the shell's own tool


def _supervise(settings: ClusterSettings) -> None:
    configure_logs(settings.log_level)
    try:
        supervise(settings)
    except (AlreadyUp, ProcessFailed, PostgresMissing, BrokerFailed) as error:
        sys.exit(str(error))


def _state(settings: ClusterSettings) -> dict[str, Any] | None:
    """What the supervisor wrote, if it still lives."""
    path = state_file(settings.data)
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found if is_up(settings.data) else None


def _takes_work(api: str) -> bool:
    try:
        return bool(httpx.get(f"{api}{API}/health", timeout=5, trust_env=False).json().get("workers_ready"))
    except (httpx.TransportError, ValueError):
        return False


def _show(settings: ClusterSettings, found: dict[str, Any]) -> None:
    table = Table("unit", "state", "address", "pid", "restarts", title="Movie Tasks, distributed", title_justify="left")
    for unit in found["units"]:
        colour = COLOURS[unit["state"]]
        table.add_row(
            unit["name"],
            f"[{colour}]{unit['state']}[/]",
            unit["address"],
            str(unit["pid"] or "-"),
            str(unit["restarts"]),
        )
    console.print(table)
    console.print(f"API: {found['api']}{API}   admin key: in {settings.data / 'secrets.json'}")


if __name__ == "__main__":
    main()
