"""A real Prometheus that scrapes a cluster on this machine as Prometheus' operator would in Kubernetes."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from embedded.processes import free_ports

NAMESPACE = "movie-tasks"
EVERY = "2s"


def program(name: str) -> str:
    """`prometheus` or `promtool` of this machine."""
    found = shutil.which(name)
    if found is None:
        sys.exit(f"There is no {name} here (Debian: apt-get install --no-install-recommends prometheus).")
    return found


def config_of(units: Sequence[dict[str, Any]], rules: Sequence[Path] = ()) -> dict[str, Any]:
    """Labelled as the chart's PodMonitor has it: namespace, pod and component."""
    jobs = []
    for unit in units:
        port = _metrics_port(unit)
        if port is not None:
            pod = unit["name"].removesuffix("-daprd")
            labels = {"namespace": NAMESPACE, "pod": pod, "app_kubernetes_io_component": re.sub(r"-\d+$", "", pod)}
            jobs.append({"targets": [f"127.0.0.1:{port}"], "labels": labels})
    return {
        "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [{"job_name": NAMESPACE, "static_configs": jobs}],
    }


def _metrics_port(unit: dict[str, Any]) -> str | None:
    """A service's own port; a sidecar has one for measurements."""
    if unit["name"].endswith("-daprd"):
        command = Path(f"/proc/{unit['pid']}/cmdline").read_text().split("\0")
        return next(word.partition("=")[2] for word in command if word.startswith("--metrics-port="))
    return str(unit["address"]).rpartition(":")[2] if re.search(r"-\d+$", unit["name"]) else None


@contextmanager
def prometheus(folder: Path, config: dict[str, Any]) -> Iterator[str]:
    """Its address."""
    [port] = free_ports(1)
    written = folder / "prometheus.yml"
    written.write_text(yaml.safe_dump(config))
    address = f"http://127.0.0.1:{port}"
    command = [program("prometheus"), f"--config.file={written}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], stdout=log, stderr=log
        )
        try:
            _until_ready(address, process)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def _until_ready(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/-/ready", trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError("Prometheus does not start")


def units_of(cluster: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((cluster / "cluster.json").read_text())["units"]
    return found
