import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.chart.control_plane import without_nodes
from tests.chart.helm import Helm
from tests.clients import ProjectClient, Receiver, receiver
from tests.cluster.images import NEXT_TAG, REGISTRY, TAG, Images, service_images
from tests.cluster.machine import a_bridge, left_as_it_was, traces_of_nodes
from tests.cluster.node import ADDRESS, BRIDGE, a_node
from tests.cluster.platform import Platform, install_dapr, on_pods, underneath
from tests.cluster.runtime import Runtime, a_runtime

KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "movie-tasks"
"""Images are kept there from one run to the next, by buildah and by containerd."""
LOGS = Path(".movie-tasks/test-logs/pods")
SANDBOX = f"{REGISTRY}/sandbox:{TAG}"
took: dict[str, float] = {}


@contextmanager
def phase(name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    took[name] = time.monotonic() - started


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    kubernetes, around, dapr, dapr_control_plane = (
        Path(os.environ[f"MOVIE_TASKS_{name}"])
        for name in ("KUBERNETES_BIN", "CLUSTER_PROGRAMS", "DAPR_BIN", "DAPR_CONTROL_PLANE")
    )
    before = traces_of_nodes()
    with ExitStack() as stack:
        stack.enter_context(left_as_it_was([str(kubernetes / "node"), "kube-proxy"]))
        stack.enter_context(a_bridge(BRIDGE, f"{ADDRESS}/24"))
        runtime = stack.enter_context(a_runtime(KEPT / "containerd", SANDBOX))
        with phase("images"):
            load_images(runtime, [dapr, dapr_control_plane])
        with phase("control plane and node"):
            control_plane = stack.enter_context(without_nodes(kubernetes, ADDRESS))
            stack.enter_context(a_node(control_plane, runtime, kubernetes))
            stack.callback(keep_logs, runtime)
        helm = Helm(kubernetes / "helm", control_plane.kubectl.kubeconfig, "dapr-system")
        with phase("Dapr"):
            install_dapr(helm, dapr_control_plane / "chart")
        with phase("broker, Postgres, S3"):
            plan = stack.enter_context(underneath(around))
        with phase("the platform"):
            found = stack.enter_context(on_pods(plan, control_plane.kubectl, helm, around / "caddy"))
        yield found
    assert traces_of_nodes() == before


def load_images(runtime: Runtime, dapr: list[Path]) -> None:
    folder = KEPT / "images"
    folder.mkdir(parents=True, exist_ok=True)
    images = Images(folder, runtime)
    python = images.python()
    images.load(python, f"sandbox:{TAG}")
    images.load_dapr(python, dapr, TAG)
    for image in service_images(python.reference):
        images.load(image, f"{image.name}:{TAG}", f"{image.name}:{NEXT_TAG}")


def keep_logs(runtime: Runtime) -> None:
    shutil.rmtree(LOGS, ignore_errors=True)
    shutil.copytree(runtime.folder / "pods", LOGS)


@pytest.fixture
async def project(platform: Platform) -> AsyncIterator[ProjectClient]:
    await platform.until_workers_are_ready()
    async with platform.project() as made:
        yield made


@pytest.fixture
async def hooks(project: ProjectClient) -> AsyncIterator[Receiver]:
    async with receiver(project, host=ADDRESS) as registered:
        yield registered


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("how long it took")
    for name, seconds in took.items():
        terminalreporter.write_line(f"{name:24} {seconds:6.0f} s")
