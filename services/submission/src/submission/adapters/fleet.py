"""Workers' pods and GPU nodes as Kubernetes knows them, looked at every few seconds and never for a request."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import ClientError
from contracts.errors import DependencyUnavailable
from contracts.ports import Clock
from kubernetes.aio.client import ApiClient, Configuration, CoreV1Api
from kubernetes.aio.config import ConfigException, load_incluster_config

from submission.domain.fleet import GpuNode, Gpus, Place, Sight, WorkerPod

NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
LOOK_EVERY = timedelta(seconds=10)
ANSWER_WITHIN_SECONDS = 10
AT_ONCE = 200
"""A page of a list: a large one is neither asked for nor read in one go."""

Object = Mapping[str, Any]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Connection:
    configuration: Configuration
    namespace: str


def from_inside() -> Connection:
    """Of the pod that this process runs in, with the token that it was given. Raises `DependencyUnavailable`."""
    configuration = Configuration()
    try:
        load_incluster_config(configuration)
        return Connection(configuration, NAMESPACE.read_text())
    except (ConfigException, OSError) as error:
        raise DependencyUnavailable(f"this process was given no token for Kubernetes: {error}") from error


class KubernetesFleet:
    def __init__(self, connect: Callable[[], Connection], selector: str, clock: Clock, *, nodes: bool) -> None:
        """`selector` finds the workers among the namespace's pods; `nodes` says whether to look at nodes too."""
        self._connect = connect
        self._selector = selector
        self._nodes = nodes
        self._clock = clock
        self._seen = Sight(problems=["Kubernetes has not been asked yet"])

    def seen(self) -> Sight:
        return self._seen

    async def keep_looking(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    async def look(self) -> None:
        try:
            connection = self._connect()
            async with ApiClient(connection.configuration) as client:
                api = CoreV1Api(client)
                pods = await _all(
                    "the workers' pods",
                    worker_pod,
                    api.list_namespaced_pod_without_preload_content,
                    namespace=connection.namespace,
                    label_selector=self._selector,
                )
                nodes, problems = await self._look_at_nodes(api)
        except DependencyUnavailable as error:
            self._seen = Sight(problems=[error.detail])
        else:
            self._seen = Sight(self._clock.now(), pods, nodes, problems)

    async def _look_at_nodes(self, api: CoreV1Api) -> tuple[Sequence[GpuNode] | None, Sequence[str]]:
        if not self._nodes:
            return None, ()
        try:
            found = await _all("the cluster's nodes", gpu_node, api.list_node_without_preload_content)
        except DependencyUnavailable as error:
            return None, [error.detail]
        return [node for node in found if node.gpus], ()


async def _all(what: str, read: Callable[[Object], Found], ask: Any, **how: str) -> Sequence[Found]:
    """As plain JSON, page by page: to make the client's objects of a thousand nodes would stop everything else."""
    found: list[Found] = []
    following: str | None = None
    try:
        async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
            while True:
                answer = await ask(limit=AT_ONCE, _continue=following, **how)
                body = await answer.read()
                if answer.status != 200:
                    raise DependencyUnavailable(f"Kubernetes does not show {what}: {answer.status} {answer.reason}")
                page = json.loads(body)
                found += map(read, page["items"])
                following = page["metadata"].get("continue")
                if not following:
                    return found
    except (ClientError, TimeoutError, OSError) as error:
        raise DependencyUnavailable(f"Kubernetes does not answer: {str(error) or type(error).__name__}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DependencyUnavailable(f"what Kubernetes answers for {what} makes no sense: {error!r}") from error


def worker_pod(pod: Object) -> WorkerPod:
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    place, said = _place(metadata, status)
    return WorkerPod(
        name=metadata["name"],
        workers=metadata.get("labels", {}).get("app.kubernetes.io/component", "").removeprefix("gpu-worker-"),
        place=place,
        since=datetime.fromisoformat(metadata["creationTimestamp"]),
        node=spec.get("nodeName"),
        gpus=_sum_of_gpus(container.get("resources", {}).get("limits", {}) for container in spec["containers"]),
        said=said,
    )


def _place(metadata: Object, status: Object) -> tuple[Place, str | None]:
    """Where the pod is on its way, and what holds it up there."""
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    if "deletionTimestamp" in metadata:
        return Place.LEAVING, None
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") != "True":
        return Place.WAITING, scheduled.get("message")
    if conditions.get("Ready", {}).get("status") == "True":
        return Place.RUNNING, None
    return Place.STARTING, _what_containers_say(status)


def _what_containers_say(status: Object) -> str | None:
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    for container in containers:
        if container.get("lastState", {}).get("terminated", {}).get("reason") == "OOMKilled":
            return "OOMKilled"
    for container in containers:
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{waiting['reason']}: {waiting.get('message', '')}"
    return "NotReady" if any("running" in container.get("state", {}) for container in containers) else None


def gpu_node(node: Object) -> GpuNode:
    status = node.get("status", {})
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ()))
    return GpuNode(
        name=node["metadata"]["name"],
        gpus=_sum_of_gpus([status.get("allocatable", {})]),
        usable=ready and not node.get("spec", {}).get("unschedulable", False),
    )


def _sum_of_gpus(resources: Iterable[Mapping[str, str]]) -> Gpus:
    """Of all that is called after a vendor and is a GPU or a slice of one."""
    found: dict[str, int] = {}
    for names in resources:
        for name, count in names.items():
            if name.partition("/")[2].startswith(("gpu", "mig-")) and int(count) > 0:
                found[name] = found.get(name, 0) + int(count)
    return found
