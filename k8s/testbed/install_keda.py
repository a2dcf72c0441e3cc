"""Builds KEDA's operator and its metrics adapter from their pinned module, and prints the folder that holds them.

The folder holds `operator`, `adapter`, and `config`, the kustomization by which KEDA installs itself. The version is
that of the definitions which the chart is compared with. Of what KEDA can scale by only Prometheus is left in, which
is all that the chart asks for: the clients of every cloud are most of the build. Some minutes the first time, nothing
after.

Needs nothing but the standard library and Go. Progress goes to stderr. Run with dapr-components/runtime on PYTHONPATH.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path

from install import cache_root, say
from install_kubernetes import PINS, compile_program, source_of, version_of

MODULE = "github.com/kedacore/keda/v2"
PROGRAMS = ("operator", "adapter")
SCALER = "prometheus"
SCALERS = ("scaler.go", f"{SCALER}_scaler.go", "azure_queue_scaler.go")
"""Of the folder `pkg/scalers`; the last holds a constant of all of them."""


def main() -> None:
    named = os.environ.get("MOVIE_TASKS_KEDA_BIN")
    folder = Path(named).expanduser() if named else cache_folder()
    if not named and not folder.is_dir():
        build(folder)
    print(folder)


def cache_folder() -> Path:
    """By the checksum of its source, which names the version of everything that it is built with."""
    sums = [line for line in (PINS / "go.sum").read_text().splitlines() if line.startswith(f"{MODULE} ")]
    digest = hashlib.sha256(repr((sums, PROGRAMS, SCALERS)).encode()).hexdigest()
    return cache_root() / "kubernetes" / f"keda-{version()}-{digest[:12]}"


def version() -> str:
    return version_of(MODULE, PINS).removeprefix("v")


def build(target: Path) -> None:
    partial, source = target.with_name(target.name + ".part"), target.with_name(target.name + ".src")
    for folder in (partial, source):
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir(parents=True)
    say("building KEDA from source; 4 minutes on two cores that do little else, once per machine")
    try:
        unpack(source)
        leave_out_unused(source)
        for program in PROGRAMS:
            compile_program(f"./cmd/{program}", partial / program, source, {f"{MODULE}/version.Version": version()})
        shutil.move(source / "config", partial / "config")
    finally:
        shutil.rmtree(source, ignore_errors=True)
    partial.rename(target)


def unpack(source: Path) -> None:
    """Out of Go's cache, where nothing can be written."""
    shutil.copytree(source_of(MODULE, PINS), source, copy_function=shutil.copyfile)
    for folder in (source, *(path for path in source.rglob("*") if path.is_dir())):
        folder.chmod(0o755)


def leave_out_unused(source: Path) -> None:
    for path in (source / "pkg" / "scalers").glob("*.go"):
        if path.name not in SCALERS:
            path.unlink()
    builder = source / "pkg" / "scaling" / "scalers_builder.go"
    others = rf'^\tcase "(?!{SCALER}")[^"]+":\n\t\treturn .+\n'
    builder.write_text(re.sub(others, "", builder.read_text(), flags=re.MULTILINE))


if __name__ == "__main__":
    main()
