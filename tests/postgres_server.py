"""A Postgres server of the tests' own. `python -m tests.postgres_server COMMAND …` runs a command beside one."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.postgres import SUPERUSER, find_postgres, postgres
from cluster.supervisor import Supervisor
from embedded.processes import free_ports

PASSWORD = "the-right-password"
HASTY = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
"""What is kept is of no use after the test, so nobody waits for the disk."""


@dataclass(frozen=True)
class Server:
    """One that tests may stop and start."""

    binaries: Path
    supervisor: Supervisor
    port: int

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, options: str) -> str:
        """Its URL."""
        command = [str(self.binaries / "psql"), self.url(), "-q", "-c", f"CREATE DATABASE {name} {options}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return self.url(name)

    def start(self) -> None:
        self.supervisor.start("postgres")

    def stop(self) -> None:
        self.supervisor.put_down("postgres")


@contextmanager
def a_server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="movie-tasks-") as name:
        folder, [port] = Path(name), free_ports(1)
        # Postgres runs as a user of its own.
        folder.chmod(0o711)
        programs = find_postgres(None)
        unit = postgres(programs, folder / "postgres", port, PASSWORD, {})
        supervisor = Supervisor([replace(unit, command=[*unit.command, *HASTY])], folder)
        with supervisor.running():
            yield Server(programs, supervisor, port)


if __name__ == "__main__":
    with a_server() as started:
        environment = {**os.environ, "MOVIE_TASKS_TEST_POSTGRES": started.url()}
        outcome = subprocess.run(sys.argv[1:], env=environment, check=False).returncode
    sys.exit(outcome)
