import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chart.control_plane import control_plane
from tests.chart.helm import Helm, of_kind
from tests.chart.kubectl import Kubectl, Object
from tests.chart.tenant import Tenant, a_tenant


@pytest.fixture(scope="session")
def programs() -> Path:
    return Path(os.environ["MOVIE_TASKS_KUBERNETES_BIN"])


@pytest.fixture(scope="session")
def helm(programs: Path) -> Helm:
    """One that knows no cluster."""
    return Helm(programs / "helm")


@pytest.fixture(scope="session")
def rendered(helm: Helm) -> list[Object]:
    """The chart with what it needs, and everything it can do besides."""
    everything = {
        "keda": {"enabled": True, "prometheus": "http://prometheus.monitoring:9090"},
        "podMonitor": {"enabled": True},
        "alerts": {"enabled": True},
        "dashboards": {"enabled": True},
        "ingress": {"enabled": True, "host": "media.example.com", "className": "nginx", "tlsSecret": "certificate"},
        "workers": {"image": {"cache": {"prefetch": ["sdxl", "flux-*"]}}},
        "modelHub": {"existingSecret": "model-hub"},
        "catalogConfigMap": "catalog",
        "tracing": {"endpoint": "http://collector.observability:4318", "headersSecret": "collector"},
    }
    return helm.render(everything)


@pytest.fixture(scope="session")
def deployments(rendered: list[Object]) -> dict[str, Object]:
    return of_kind(rendered, "Deployment")


@pytest.fixture(scope="session")
def cluster(programs: Path) -> Iterator[Kubectl]:
    with control_plane(programs) as kubectl:
        yield kubectl


@pytest.fixture
def new_tenant(cluster: Kubectl, helm: Helm) -> Iterator[Callable[[], Tenant]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(a_tenant(cluster, helm))


@pytest.fixture
def tenant(new_tenant: Callable[[], Tenant]) -> Tenant:
    return new_tenant()
