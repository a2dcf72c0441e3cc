"""Brings the programs that look over what no compiler does, and prints a search path on which all of them are.

kubeconform, kube-score, actionlint and helm-docs are built from a pinned Go module, once per machine and in about a
minute; hadolint and shellcheck are packages of uv's group `linters`. `schemas` beside the built ones holds what
kubeconform compares with: Kubernetes' own types, and the definitions that k8s/testbed has.

Needs Go, uv and PyYAML. Progress goes to stderr. Run with dapr-components/runtime and k8s/testbed on PYTHONPATH.
"""

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from install import cache_root, follow, go_command, say
from install_kubernetes import SOURCE as KUBERNETES
from install_kubernetes import cache_folder as kubernetes_folder
from install_kubernetes import source_of, version_of
from schemas import write_schemas

FOLDER = Path(__file__).resolve().parent
PROGRAMS = {
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score",
    "actionlint": "github.com/rhysd/actionlint/cmd/actionlint",
    "helm-docs": "github.com/norwoodj/helm-docs/cmd/helm-docs",
}
SWAGGER = "api/openapi-spec/swagger.json"


def main() -> None:
    built = cache_folder()
    if not built.is_dir():
        build(built)
    print(built, packages(), sep=os.pathsep)


def cache_folder() -> Path:
    """By a hash of what it is made from."""
    made_from = b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.is_file())
    recipe = f"{version_of('k8s.io/kubernetes')} {kubernetes_folder().name}".encode()
    return cache_root() / "linters" / hashlib.sha256(made_from + recipe).hexdigest()[:12]


def build(target: Path) -> None:
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    say("building linters from source; a minute or two, once per machine")
    swagger = json.loads((source_of("k8s.io/kubernetes", KUBERNETES) / SWAGGER).read_text())
    named = os.environ.get("MOVIE_TASKS_KUBERNETES_BIN")
    definitions = (Path(named) if named else kubernetes_folder()) / "definitions"
    write_schemas(swagger, definitions, partial / "schemas")
    started = time.monotonic()
    compiler = subprocess.Popen(
        [*go_command(), "build", "-trimpath", "-ldflags=-s -w", "-o", f"{partial}/", *PROGRAMS.values()],
        cwd=FOLDER,
        env={**os.environ, "CGO_ENABLED": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    follow(compiler, compiler.stderr or ())
    say(f"linters took {time.monotonic() - started:.0f} s")
    partial.rename(target)


def packages() -> Path:
    """An environment of their own: the group is none of what services or tests import."""
    environment = cache_root() / "linters" / "packages"
    subprocess.run(
        [os.environ["UV"], "sync", "--frozen", "--only-group=linters", "--quiet"],
        cwd=FOLDER.parents[1],
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(environment)},
        check=True,
    )
    return environment / "bin"


if __name__ == "__main__":
    main()
