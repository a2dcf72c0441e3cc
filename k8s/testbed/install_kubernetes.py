"""Builds Kubernetes and Helm from pinned Go modules, and prints the folder that holds them.

The folder holds `kubernetes` (etcd, API server, controllers, scheduler, kwok and kubectl in one file), `node` (kubelet
and kube-proxy), `dns` (CoreDNS) and `helm`, what kwok needs to play nodes and pods (`stages`), and the definitions of
those resources of Dapr, KEDA and Prometheus' operator that the chart has some of (`definitions`). Some minutes the
first time, nothing after: it is kept by a hash of what it is made from.

Needs nothing but the standard library and Go. Progress goes to stderr. Run with dapr-components/runtime on PYTHONPATH.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from install import HERE as RUNTIME
from install import cache_root, follow, go_command, pinned, say

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER / "kubernetes"
PROGRAMS = {"kubernetes": ".", "helm": "helm.sh/helm/v3/cmd/helm", "node": "./node", "dns": "./dns"}
STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
"""Of `kustomize/stage` in kwok's module: outside a cluster kwok has no stages of its own."""
PINS = FOLDER / "definitions"
DEFINITIONS = (
    (RUNTIME, "github.com/dapr/dapr", "charts/dapr/crds/*.yaml"),
    (PINS, "github.com/kedacore/keda/v2", "config/crd/bases/keda.sh_*.yaml"),
    (PINS, "github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd/*_podmonitors.yaml"),
    (
        PINS,
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd/*_prometheusrules.yaml",
    ),
)
"""Where each module is pinned, and which of its files are definitions that the chart has objects of."""


def main() -> None:
    named = os.environ.get("MOVIE_TASKS_KUBERNETES_BIN")
    folder = Path(named).expanduser() if named else cache_folder()
    if not named and not folder.is_dir():
        build(folder)
    print(folder)


def cache_folder() -> Path:
    sources = sorted(path for path in SOURCE.rglob("*") if path.is_file())
    made_from = [*sources, *sorted(PINS.iterdir()), RUNTIME / "go.mod", RUNTIME / "go.sum"]
    recipe = repr((PROGRAMS, STAGES, [(module, files) for _, module, files in DEFINITIONS], sorted(versions())))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_from) + recipe.encode()).hexdigest()
    return cache_root() / "kubernetes" / f"{version_of('k8s.io/kubernetes').removeprefix('v')}-{digest[:12]}"


def version_of(module: str, folder: Path = SOURCE) -> str:
    """As the folder's go.mod pins it, in a block or by itself."""
    if folder == RUNTIME:
        return pinned()[module]
    found = re.search(rf"^(?:require )?\s*{re.escape(module)} (v\S+)", (folder / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        sys.exit(f"{folder / 'go.mod'} pins no {module}")
    return found[1]


def build(target: Path) -> None:
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    say("building Kubernetes and Helm from source; 6 to 12 minutes on two cores, once per machine")
    stages = source_of("sigs.k8s.io/kwok", SOURCE) / "kustomize" / "stage"
    copy_files([stages / stage for stage in STAGES], partial / "stages")
    found = [path for folder, module, files in DEFINITIONS for path in source_of(module, folder).glob(files)]
    copy_files(found, partial / "definitions")
    for program, package in PROGRAMS.items():
        compile_program(package, partial / program, SOURCE, versions())
    partial.rename(target)


def source_of(module: str, folder: Path) -> Path:
    """Where Go keeps the module, its checksum compared with the folder's go.sum by Go itself."""
    command = [*go_command(), "mod", "download", "-json", f"{module}@{version_of(module, folder)}"]
    answer = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True)
    return Path(json.loads(answer.stdout)["Dir"])


def copy_files(files: Iterable[Path], target: Path) -> None:
    target.mkdir()
    for path in files:
        shutil.copyfile(path, target / path.name)


def compile_program(package: str, target: Path, source: Path, written: Mapping[str, str]) -> None:
    """`written` is what goes into the program's variables."""
    say(f"compiling {target.name}")
    started = time.monotonic()
    flags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in written.items())])
    compiler = subprocess.Popen(
        [*go_command(), "build", "-trimpath", "-ldflags", flags, "-o", str(target), package],
        cwd=source,
        env={**os.environ, "CGO_ENABLED": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    follow(compiler, compiler.stderr or ())
    say(f"{target.name} took {time.monotonic() - started:.0f} s")


def versions() -> dict[str, str]:
    """What release builds write into the programs. Helm would take the cluster for 1.20 when it asks none."""
    kubernetes = version_of("k8s.io/kubernetes")
    major, minor, _ = kubernetes.removeprefix("v").split(".")
    written = {"helm.sh/helm/v3/internal/version.version": version_of("helm.sh/helm/v3")}
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        for name, value in {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}.items():
            written[f"{package}.{name}"] = value
    for package in ("helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules"):
        written |= {f"{package}.k8sVersionMajor": major, f"{package}.k8sVersionMinor": minor}
    return written


if __name__ == "__main__":
    main()
