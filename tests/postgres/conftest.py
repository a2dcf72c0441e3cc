"""A Postgres server of the tests' own, that they may stop and start."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

USER, PASSWORD = "tester", "the-right-password"


def _binaries() -> Path:
    """Where the server's programs are: on the PATH, or where Debian puts them."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = installed[-1] if installed else shutil.which("initdb")
    if not found:
        raise FileNotFoundError("these tests need a Postgres server's programs, such as initdb and pg_ctl, on the PATH")
    return Path(found).resolve().parent


@dataclass(frozen=True)
class Server:
    binaries: Path
    data: Path
    port: int

    def url(self, database: str = "postgres", user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, options: str) -> str:
        """Its URL."""
        self._run("psql", self.url(), "-q", "-c", f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def initialize(self) -> None:
        secret = self.data.with_name("password")
        secret.write_text(PASSWORD)
        self._run("initdb", "-D", self.data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", self.data, "-w", "-o", options, "-l", self.data.with_name("log"), "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-m", "fast", "stop")

    def _run(self, program: str, *arguments: str | Path) -> None:
        # Postgres refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        subprocess.run([self.binaries / program, *arguments], user=user, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def initialized() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        free.bind(("127.0.0.1", 0))
        server = Server(_binaries(), Path(folder) / "data", free.getsockname()[1])
        free.close()
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def server(initialized: Server) -> Server:
    return initialized
