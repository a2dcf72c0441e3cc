"""Looks at the dashboards: the distributed platform that `make up` has started, load on it, a real Prometheus, and a
picture of each in the folder that is printed."""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.monitoring.load import load
from tests.monitoring.pictures import Asked, take
from tests.monitoring.scraping import NAMESPACE, config_of, prometheus, units_of

CLUSTER = Path(".movie-tasks/cluster")
WINDOW = "1m"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--folder", type=Path, default=Path(".movie-tasks/pictures"))
    given = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("There is no Chromium here (Debian: apt-get install --no-install-recommends chromium).")
    config = config_of(units_of(CLUSTER))
    with tempfile.TemporaryDirectory() as scratch, prometheus(Path(scratch), config) as address:
        start = time.time()
        asyncio.run(load(CLUSTER, given.minutes * 60))
        task_id, logs = _last_task(CLUSTER / "logs")
        chosen = {"namespace": NAMESPACE, "project": ".*", "task": task_id, "api": "https://media.example.com"}
        take(given.folder, browser, Asked(address, start, time.time(), {"__rate_interval": WINDOW, **chosen}, logs))
    print(given.folder)


def _last_task(folder: Path) -> tuple[str, list[str]]:
    """A task that was stored lately, and all that was logged of it."""
    lines = [
        line
        for path in folder.glob("*-[0-9].log")
        for line in path.read_text(errors="replace").splitlines()
        if line.startswith("{")
    ]
    stored = [line for line in lines if '"the task has left storage"' in line]
    task_id = str(json.loads(max(stored, key=_when))["task_id"])
    return task_id, sorted((line for line in lines if task_id in line), key=_when)


def _when(line: str) -> str:
    return str(json.loads(line).get("timestamp", ""))


if __name__ == "__main__":
    main()
