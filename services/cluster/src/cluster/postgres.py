"""A Postgres server, with a database and a role of its own for each service and for the Dapr state store."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.units import Unit

SUPERUSER = "postgres"
MOST_CONNECTIONS = 300
# psql's own variables and \\gexec: names and passwords are quoted by psql.
CREATE_DATABASE = """
SELECT format('CREATE ROLE %I LOGIN', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \\gexec
ALTER ROLE :"name" PASSWORD :'secret';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
"""


class PostgresMissing(Exception):
    """No Postgres server was found on this machine; the text says what to do."""


def find_postgres(named: Path | None) -> Path:
    """The folder of the server's programs: named by hand, Debian's newest, the PATH's, or the wheel `pgserver`'s."""
    on_path = shutil.which("postgres")
    wheel = _wheel()
    candidates = [
        *([named] if named else []),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        *([Path(on_path).resolve().parent] if on_path else []),
        *([wheel] if wheel else []),
    ]
    for folder in candidates:
        if all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb", "psql")):
            return folder
    raise PostgresMissing(
        "no Postgres server here: install one (Debian: apt-get install postgresql), or `uv pip install pgserver`, "
        "or name its bin folder in MOVIE_TASKS_CLUSTER_POSTGRES_BIN"
    )


def _wheel() -> Path | None:
    try:
        import pgserver  # type: ignore[import-not-found]  # noqa: PLC0415 - only where there is no other
    except ImportError:
        return None
    return Path(pgserver.__file__).parent / "pginstall" / "bin"


def database_url(host: str, port: int, name: str, password: str) -> str:
    return f"postgresql://{name}:{password}@{host}:{port}/{name}"


def postgres(
    programs: Path, data: Path, port: int, password: str, databases: Mapping[str, str], host: str = "127.0.0.1"
) -> Unit:
    """`databases` are names, each of a database and of the role that owns it, with the role's password."""
    user = _unprivileged()

    def initialise() -> None:
        if (data / "PG_VERSION").is_file():
            return
        data.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(password)
            file.flush()
            if user:
                shutil.chown(data, user)
                shutil.chown(file.name, user)
            initdb = [str(programs / "initdb"), "-D", str(data), "-U", SUPERUSER, "-E", "UTF8"]
            initdb += ["--auth=scram-sha-256", f"--pwfile={file.name}"]
            _run(initdb, user=user)
        # Whoever is on a network of ours; which of them can be reached from is for the address to say.
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet scram-sha-256\n")

    def create_databases() -> None:
        for name, secret in databases.items():
            _run(
                [programs / "psql", "-q", "-h", host, "-p", str(port), "-U", SUPERUSER, "-v", "ON_ERROR_STOP=1"],
                f"\\set name {name}\n\\set secret {secret}\n{CREATE_DATABASE}",
                environment={"PGPASSWORD": password},
            )

    return Unit(
        name="postgres",
        command=[
            str(programs / "postgres"), "-D", str(data), "-p", str(port),
            "-c", f"listen_addresses={host}", "-c", "unix_socket_directories=",
            "-c", f"max_connections={MOST_CONNECTIONS}",
        ],
        ready=lambda: _accepts(programs, host, port),
        address=f"{host}:{port}",
        user=user,
        prepare=initialise,
        finish=create_databases,
        # Fast shutdown; SIGTERM would wait for every connection to be given back.
        stop_signal=signal.SIGINT,
    )  # fmt: skip


def _accepts(programs: Path, host: str, port: int) -> bool:
    command = [str(programs / "pg_isready"), "-q", "-h", host, "-p", str(port)]
    return subprocess.run(command, check=False).returncode == 0


def _unprivileged() -> str | None:
    """Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in (SUPERUSER, "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise PostgresMissing("Postgres refuses to run as root, and there is no user `postgres` or `nobody` to run it")


def _run(
    command: Sequence[str | Path],
    given: str = "",
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    answer = subprocess.run(
        [str(part) for part in command],
        input=given,
        check=False,
        capture_output=True,
        text=True,
        user=user,
        cwd="/",
        env={**os.environ, **(environment or {})},
    )
    if answer.returncode != 0:
        raise PostgresMissing(f"{Path(command[0]).name} failed: {answer.stderr.strip()[-2000:]}")
