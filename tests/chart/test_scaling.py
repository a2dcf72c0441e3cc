"""Fewer workers: those that carry the mark of being busy are the ones that stay."""

import random
from typing import Any

import pytest
from contracts.topics import App

from tests.chart.control_plane import SLICE
from tests.chart.tenant import Tenant

COST = "controller.kubernetes.io/pod-deletion-cost"
FIVE: dict[str, Any] = {
    "workerDefaults": {"replicas": 5, "gpu": {"resource": SLICE}},
    "workers": {name: {"enabled": False} for name in ("video", "audio", "editing")},
}


@pytest.mark.parametrize("seed", [1, 2])
def test_from_five_to_two_the_two_that_are_busy_stay(tenant: Tenant, seed: int) -> None:
    """Whichever they are: by itself Kubernetes looks at nodes and ages."""
    tenant.helm.install(FIVE)
    names = sorted(pod["metadata"]["name"] for pod in tenant.until_running(App.GPU_WORKER_IMAGE, 5))
    busy = random.Random(seed).sample(names, 2)
    for name in busy:
        tenant.kubectl("annotate", "pod", name, f"{COST}=1000")
    tenant.scale(App.GPU_WORKER_IMAGE, 2)
    left = tenant.until_running(App.GPU_WORKER_IMAGE, 2)
    assert {pod["metadata"]["name"] for pod in left} == set(busy)
