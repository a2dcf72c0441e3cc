"""What Kubernetes knows of the workers, joined with what they say of themselves, in an operator's words."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial

from contracts.topics import WORKERS

Gpus = Mapping[str, int]
"""How many of each kind, by Kubernetes' name for it, such as nvidia.com/gpu."""


class Place(StrEnum):
    WAITING = "waiting"
    """There is no machine for it."""
    STARTING = "starting"
    """It has a machine, and does not take work yet."""
    RUNNING = "running"
    LEAVING = "leaving"
    """It was told to end, and finishes what it has."""


@dataclass(frozen=True)
class WorkerPod:
    name: str
    workers: str
    """Which of the chart's workers it is one of: image, video, …"""
    place: Place
    since: datetime
    node: str | None = None
    gpus: Gpus = field(default_factory=dict)
    said: str | None = None
    """Kubernetes' own words for what holds it up."""


@dataclass(frozen=True)
class GpuNode:
    name: str
    gpus: Gpus
    usable: bool
    """It is ready and not cordoned."""


@dataclass(frozen=True)
class Sight:
    """What was seen in one look, or why nothing was."""

    at: datetime | None = None
    pods: Sequence[WorkerPod] = ()
    nodes: Sequence[GpuNode] | None = None
    """None where they are not looked at, or cannot be."""
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Held:
    """Workers of one kind that are held up by the same."""

    workers: str
    count: int
    since: datetime
    in_words: str


@dataclass(frozen=True)
class Pool:
    """All GPUs of one kind."""

    resource: str
    machines: int
    usable_machines: int
    gpus: int
    """Of the usable machines."""
    held_by_workers: int


def pools(sight: Sight) -> Sequence[Pool]:
    nodes = sight.nodes or ()
    kinds = sorted({kind for node in nodes for kind in node.gpus})
    return [_pool(kind, [node for node in nodes if node.gpus.get(kind)], sight.pods) for kind in kinds]


def _pool(kind: str, nodes: Sequence[GpuNode], pods: Sequence[WorkerPod]) -> Pool:
    usable = [node for node in nodes if node.usable]
    return Pool(
        resource=kind,
        machines=len(nodes),
        usable_machines=len(usable),
        gpus=sum(node.gpus[kind] for node in usable),
        held_by_workers=sum(pod.gpus.get(kind, 0) for pod in pods if pod.node is not None),
    )


def held_up(sight: Sight) -> Sequence[Held]:
    """The workers that do not work yet, those that have waited longest first."""
    found: dict[tuple[str, str], list[WorkerPod]] = {}
    for pod in sight.pods:
        if pod.place in (Place.WAITING, Place.STARTING):
            found.setdefault((pod.workers, why(pod, sight)), []).append(pod)
    held = [Held(who, len(pods), min(pod.since for pod in pods), words) for (who, words), pods in found.items()]
    return sorted(held, key=lambda one: (one.since, one.workers, one.in_words))


def why(pod: WorkerPod, sight: Sight) -> str:
    """What holds the pod up, for somebody who has never heard of a pod."""
    said = pod.said or ""
    if pod.place is Place.WAITING:
        return next((words for pattern, words in _NO_MACHINE if pattern.search(said)), None) or _no_gpu(pod, sight)
    return next((words for reason, words in _NOT_STARTED.items() if said.startswith(reason)), "it is being started")


def _no_gpu(pod: WorkerPod, sight: Sight) -> str:
    missing = re.findall(r"Insufficient (\S+?)[,.]?(?=\s|$)", pod.said or "")
    short = next((kind for kind in missing if kind in pod.gpus), None)
    if short is None:
        words = [_PLAIN_RESOURCES[kind] for kind in missing if kind in _PLAIN_RESOURCES]
        if words:
            return f"the machines have too little {' and '.join(dict.fromkeys(words))} left for it"
        return next((words for pattern, words in _WRONG_MACHINES if pattern.search(pod.said or "")), _NOT_LOOKED_YET)
    wanted = pod.gpus[short]
    if sight.nodes is None:
        return "all GPUs it could have are taken; it starts when one is free or the pool grows"
    total = sum(node.gpus.get(short, 0) for node in sight.nodes if node.usable)
    most = max((node.gpus.get(short, 0) for node in sight.nodes if node.usable), default=0)
    if most < wanted:
        return f"it wants {_count(wanted, 'GPU')} ({short}) on one machine, and no machine that can be used has so many"
    taken = f"all {total} GPUs ({short}) are taken" if total > 1 else f"the only GPU ({short}) is taken"
    return f"{taken}; it starts when one is free or the pool grows"


_pattern = partial(re.compile, flags=re.IGNORECASE)
_NOT_LOOKED_YET = "Kubernetes has found no machine for it yet"
# What stands in a pod's way before any GPU does.
_NO_MACHINE = (
    (_pattern("unbound immediate persistentvolumeclaims|persistentvolumeclaim .*not found"), "its disk is not there"),
    (_pattern("volume node affinity conflict"), "its disk is where no machine for it is"),
)
_PLAIN_RESOURCES = {"cpu": "processor time", "memory": "memory", "ephemeral-storage": "disk", "pods": "room for pods"}
_WRONG_MACHINES = (
    (_pattern("were unschedulable"), "the machines it could run on are being taken out of service"),
    (_pattern("untolerated taint"), "the machines it could run on are kept for something else"),
    (_pattern("affinity/selector"), "there is no machine of the kind that it is meant for"),
    (_pattern("no nodes available"), "there are no machines at all"),
)
_NOT_STARTED = {
    "ErrImagePull": "its image cannot be fetched",
    "ImagePullBackOff": "its image cannot be fetched",
    "InvalidImageName": "its image cannot be fetched",
    "OOMKilled": "it was ended because it needs more memory than its limit",
    "CrashLoopBackOff": "its program ends again and again",
    "CreateContainerConfigError": "a secret or a setting that it needs is not there",
    "NotReady": "it runs, and does not take work yet: it loads its models, or waits for what it needs",
}


def heard_of(sight: Sight, worker_ids: Collection[str]) -> Mapping[str, str]:
    """Which worker is in which pod: ids by pods' names. A worker is called by its app and its host: its pod."""
    there = set(worker_ids)
    return {pod.name: id for pod in sight.pods for app in WORKERS if (id := f"{app.value}-{pod.name}") in there}


def silent(sight: Sight, worker_ids: Collection[str]) -> Sequence[str]:
    """Pods that are well by Kubernetes' account, and whose workers say nothing."""
    heard = heard_of(sight, worker_ids)
    return [pod.name for pod in sight.pods if pod.place is Place.RUNNING and pod.name not in heard]


def in_words(sight: Sight, worker_ids: Collection[str]) -> str:
    """Whether anything is amiss, in a few sentences."""
    if sight.at is None:
        return _sentences(*sight.problems, "What workers say of themselves is all there is to go by")
    held = [f"{_count(one.count, f'{one.workers} worker')} cannot work: {one.in_words}" for one in held_up(sight)]
    mute = len(silent(sight, worker_ids))
    quiet = [f"{_count(mute, 'worker')} should be working and cannot be heard"] if mute else []
    well = [] if held or quiet else [_all_well(sight)]
    return _sentences(*held, *quiet, *well, *sight.problems)


def _all_well(sight: Sight) -> str:
    running = Counter(pod.workers for pod in sight.pods if pod.place is Place.RUNNING)
    if not running:
        return "There are no workers now"
    listed = [_count(count, f"{workers} worker") for workers, count in sorted(running.items())]
    return f"{' and '.join(listed)} can work"


def _sentences(*texts: str) -> str:
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in texts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
