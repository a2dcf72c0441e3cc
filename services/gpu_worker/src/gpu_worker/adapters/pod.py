"""The worker's own pod in Kubernetes, which removes the pods that cost least when there is less to do."""

import asyncio
from pathlib import Path

from aiohttp import ClientError
from contracts.errors import DependencyUnavailable
from kubernetes.aio.client import ApiClient, ApiException, Configuration, CoreV1Api
from kubernetes.aio.config import load_incluster_config

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
BUSY = {DELETION_COST: "1000", SAFE_TO_EVICT: "false"}
IDLE = dict.fromkeys(BUSY)
"""Nothing said: an idle pod costs as little as any other."""
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
ANSWER_WITHIN_SECONDS = 10


class KubernetesPod:
    def __init__(self, configuration: Configuration, namespace: str, name: str) -> None:
        self._configuration = configuration
        self._namespace = namespace
        self._name = name

    @classmethod
    def from_inside(cls, name: str) -> "KubernetesPod":
        """Of the pod that this process runs in, with the token that it was given."""
        configuration = Configuration()
        load_incluster_config(configuration)
        return cls(configuration, NAMESPACE.read_text(), name)

    async def mark(self, *, busy: bool) -> None:
        patch = {"metadata": {"annotations": BUSY if busy else IDLE}}
        try:
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS), ApiClient(self._configuration) as client:
                await CoreV1Api(client).patch_namespaced_pod(
                    self._name, self._namespace, patch, _content_type="application/merge-patch+json"
                )
        except ApiException as error:
            raise DependencyUnavailable(f"Kubernetes refuses to mark the pod: {error.status} {error.reason}") from error
        except (ClientError, TimeoutError, OSError) as error:
            raise DependencyUnavailable(f"Kubernetes does not answer: {error or type(error).__name__}") from error
