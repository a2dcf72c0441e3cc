"""What Kubernetes knows of the workers, as it is told."""

from collections.abc import Sequence
from typing import Self

from contracts.identifiers import WorkerId
from contracts.views import View
from contracts.workers import WorkerStatus
from pydantic import AwareDatetime

from submission.domain.fleet import Place, Sight, heard_of, held_up, in_words, pools, silent, why


class HeldView(View, from_attributes=True):
    workers: str
    """Which of the deployment's workers: image, video, audio, or what else it calls them."""
    count: int
    since: AwareDatetime
    in_words: str


class PoolView(View, from_attributes=True):
    """All GPUs of one kind. Others than workers may hold some of them, too."""

    resource: str
    machines: int
    usable_machines: int
    gpus: int
    """Of the usable machines."""
    held_by_workers: int


class PodView(View):
    name: str
    workers: str
    worker_id: WorkerId | None
    """The worker in it, if it was heard."""
    node: str | None
    place: Place
    since: AwareDatetime
    in_words: str | None
    said: str | None
    """Kubernetes' own words."""


class KubernetesReport(View):
    as_of: AwareDatetime | None
    """None when Kubernetes does not tell; `in_words` says why."""
    in_words: str
    held_up: list[HeldView]
    """Workers that do not work yet."""
    silent: int
    """Workers that should be working and cannot be heard."""
    gpus: list[PoolView] | None
    """None where nodes are not looked at."""
    pods: list[PodView] | None
    """For the operator's key alone: names of pods and nodes, and words that speak of other tenants' too, are nothing
    that a project needs to know."""

    @classmethod
    def of(cls, sight: Sight, heard: Sequence[WorkerStatus], *, named: bool) -> Self:
        ids = [worker.worker_id for worker in heard]
        return cls(
            as_of=sight.at,
            in_words=in_words(sight, ids),
            held_up=[HeldView.model_validate(held) for held in held_up(sight)],
            silent=len(silent(sight, ids)),
            gpus=None if sight.nodes is None else [PoolView.model_validate(pool) for pool in pools(sight)],
            pods=_pods(sight, ids) if named else None,
        )


def _pods(sight: Sight, worker_ids: Sequence[str]) -> list[PodView]:
    heard = heard_of(sight, worker_ids)
    return [
        PodView(
            name=pod.name,
            workers=pod.workers,
            worker_id=heard.get(pod.name),
            node=pod.node,
            place=pod.place,
            since=pod.since,
            in_words=why(pod, sight) if pod.place in (Place.WAITING, Place.STARTING) else None,
            said=pod.said,
        )
        for pod in sight.pods
    ]
