"""containerd with a folder of its own, and a machine that is afterwards as it was."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cluster.supervisor import Supervisor
from cluster.units import Unit

from tests.cluster.machine import CNI, lines_of, run

NAMESPACE = "k8s.io"
"""Of containerd's, which is the kubelet's."""


@dataclass(frozen=True)
class Runtime:
    folder: Path
    """Gone when the runtime is."""

    @property
    def socket(self) -> Path:
        return self.folder / "containerd.sock"

    @property
    def networks(self) -> Path:
        return self.folder / "networks"

    def __call__(self, *arguments: str) -> str:
        """What containerd's own client prints."""
        return run(*self._ctr, *arguments)

    def load(self, archive: IO[str]) -> None:
        subprocess.run([*self._ctr, "images", "import", "-"], stdin=archive, stdout=subprocess.DEVNULL, check=True)

    def images(self) -> set[str]:
        return set(self("images", "list", "--quiet").split())

    def unpack(self, reference: str) -> None:
        """What an import that was interrupted has left undone. The kubelet would give up on it after two minutes."""
        if self("images", "check", f"name=={reference}").split()[-1] == "true":
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as view:
            self("images", "mount", reference, view)
            self("images", "unmount", "--rm", view)

    def answers(self) -> bool:
        return subprocess.run([*self._ctr, "version"], check=False, capture_output=True).returncode == 0

    def remove_containers(self) -> None:
        """Whatever a kubelet has left, at once."""
        deadline = time.monotonic() + 60
        while tasks := self("tasks", "list", "--quiet").split():
            assert time.monotonic() < deadline, f"containers do not go: {tasks}"
            for task in tasks:
                # A task may go by itself between the question and this.
                command = [*self._ctr, "tasks", "delete", "--force", task]
                subprocess.run(command, check=False, capture_output=True)
        for container in self("containers", "list", "--quiet").split():
            self("containers", "delete", container)

    @property
    def _ctr(self) -> list[str]:
        return ["ctr", "--address", str(self.socket), "--namespace", NAMESPACE]


@contextmanager
def a_runtime(kept: Path, sandbox_image: str) -> Iterator[Runtime]:
    """`kept` is where images stay from one run to the next; `sandbox_image` only sleeps, and holds a pod's network."""
    with tempfile.TemporaryDirectory(prefix="movie-tasks-") as name:
        runtime = Runtime(Path(name))
        (runtime.folder / "containerd.toml").write_text(_configuration(runtime, kept, sandbox_image))
        command = ["containerd", "--config", str(runtime.folder / "containerd.toml")]
        supervisor = Supervisor([Unit("containerd", command, ready=runtime.answers)], runtime.folder)
        try:
            with supervisor.running():
                yield runtime
                runtime.remove_containers()
        finally:
            _end_shims(runtime.socket)
            _unmount(runtime.folder)


def _configuration(runtime: Runtime, kept: Path, sandbox_image: str) -> str:
    return f"""\
version = 2
root = "{kept}"
state = "{runtime.folder / "containerd"}"
[grpc]
  address = "{runtime.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{runtime.folder / "opt"}"
[plugins."io.containerd.grpc.v1.cri"]
  # Where root may not go below its own score, as in a container, runc would be refused.
  restrict_oom_score_adj = true
  sandbox_image = "{sandbox_image}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI}"
    conf_dir = "{runtime.networks}"
"""


def _end_shims(socket: Path) -> None:
    """Each stands beside a pod, and one that started just when containerd stopped would stay for good."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        # Any may end between two looks at it.
        with suppress(FileNotFoundError, ProcessLookupError):
            command = path.read_bytes()
            if b"containerd-shim" in command and str(socket).encode() in command:
                os.kill(int(path.parent.name), signal.SIGKILL)


def _unmount(folder: Path) -> None:
    """Volumes, and networks' namespaces: the innermost first."""
    for line in reversed(lines_of(Path("/proc/mounts"))):
        if (at := line.split()[1]).startswith(f"{folder}/"):
            run("umount", "--lazy", at)
