"""Finds or builds what the cluster on one machine is made of, and prints the folder that holds it.

The folder holds `kafka/*.jar` (Apache Kafka from Maven Central), `versitygw` (an S3 server over a folder) and
`caddy` (the gateway in front of the services), both built from Go modules. A minute or three the first
time, nothing after. Postgres is taken from the machine, see `cluster.postgres`.

Needs nothing but the standard library, Maven with a Java runtime, and Go. Progress goes to stderr.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from install import cache_root, go_command, say

POM = Path(__file__).resolve().parent / "kafka" / "pom.xml"
GO_PROGRAMS = {
    "versitygw": "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    "caddy": "github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.2",
}


def main() -> None:
    named = os.environ.get("MOVIE_TASKS_CLUSTER_PROGRAMS")
    folder = Path(named).expanduser() if named else cache_folder()
    if not named and not folder.is_dir():
        build(folder)
    print(folder)


def cache_folder() -> Path:
    recipe = POM.read_bytes() + repr(GO_PROGRAMS).encode()
    return cache_root() / "cluster" / hashlib.sha256(recipe).hexdigest()[:12]


def build(target: Path) -> None:
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "kafka").mkdir(parents=True)
    fetch_kafka(partial / "kafka")
    for program, module in GO_PROGRAMS.items():
        go_install(program, module, partial)
    partial.rename(target)


def fetch_kafka(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        sys.exit("the cluster's broker is Apache Kafka: install a Java runtime (17 or newer) and Maven")
    say("fetching Apache Kafka from Maven Central")
    command = [maven, "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode != 0:
        sys.exit("Maven could not fetch Apache Kafka; its own words are above")


def go_install(program: str, module: str, folder: Path) -> None:
    say(f"compiling {program}")
    started = time.monotonic()
    environment = {**os.environ, "GOBIN": str(folder)}
    answer = subprocess.run(
        [*go_command(), "install", "-ldflags", "-s -w", module],
        env=environment,
        check=False,
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        text=True,
    )
    if answer.returncode != 0:
        sys.exit(
            "\n".join(answer.stderr.splitlines()[-40:]) + f"\n{program} could not be built; the lines above say why"
        )
    say(f"{program} took {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
