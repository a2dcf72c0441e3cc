"""What Kubernetes says of the workers, in an operator's words."""

from datetime import timedelta

import pytest
from contracts.testing.examples import NOON
from submission.domain.fleet import GpuNode, Place, Pool, Sight, WorkerPod, held_up, in_words, pools, silent, why

GPU = "nvidia.com/gpu"
ONE_OF_FOUR = (
    "0/4 nodes are available: 2 Insufficient nvidia.com/gpu, 2 node(s) didn't match Pod's node affinity/selector. "
    "no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never."
)
TWO_NODES = (GpuNode("gpu-0", {GPU: 2}, usable=True), GpuNode("gpu-1", {GPU: 2}, usable=True))


def waiting(said: str | None = ONE_OF_FOUR, gpus: int = 1, **changes: object) -> WorkerPod:
    known = {"name": "mt-gpu-worker-image-7d9-abcde", "workers": "image", "place": Place.WAITING, "since": NOON}
    return WorkerPod(**{**known, "gpus": {GPU: gpus}, "said": said, **changes})  # type: ignore[arg-type]


def running(name: str, workers: str = "image") -> WorkerPod:
    return WorkerPod(name, workers, Place.RUNNING, NOON, node="gpu-0", gpus={GPU: 1})


@pytest.mark.parametrize(
    ("said", "nodes", "words"),
    [
        (ONE_OF_FOUR, TWO_NODES, "all 4 GPUs (nvidia.com/gpu) are taken; it starts when one is free or the pool grows"),
        (ONE_OF_FOUR, None, "all GPUs it could have are taken; it starts when one is free or the pool grows"),
        (
            ONE_OF_FOUR,
            [GpuNode("gpu-0", {GPU: 2}, usable=False)],
            "it wants 1 GPU (nvidia.com/gpu) on one machine, and no machine that can be used has so many",
        ),
        (
            "0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu, 1 Insufficient memory.",
            TWO_NODES,
            "the machines have too little memory and processor time left for it",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            (),
            "there is no machine of the kind that it is meant for",
        ),
        (
            "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated "
            "taint {pool: render}.",
            TWO_NODES,
            "the machines it could run on are kept for something else",
        ),
        (
            "0/2 nodes are available: 1 node(s) had untolerated taint {a: b}, 1 node(s) were unschedulable.",
            TWO_NODES,
            "the machines it could run on are being taken out of service",
        ),
        (
            "0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
            TWO_NODES,
            "its disk is not there",
        ),
        ('persistentvolumeclaim "models" not found', TWO_NODES, "its disk is not there"),
        ("0/2 nodes are available: 2 node(s) had volume node affinity conflict.", (), "its disk is where no machine"),
        ("no nodes available to schedule pods", (), "there are no machines at all"),
        ("0/2 nodes are available: 2 something that no release before had.", (), "Kubernetes has found no machine"),
        (None, None, "Kubernetes has found no machine for it yet"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_why_there_is_no_machine(said: str | None, nodes: tuple[GpuNode, ...] | None, words: str) -> None:
    assert why(waiting(said), Sight(NOON, nodes=nodes)).startswith(words)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ImagePullBackOff: Back-off pulling image", "its image cannot be fetched"),
        ("ErrImagePull: no such host", "its image cannot be fetched"),
        ("CrashLoopBackOff: back-off 40s", "its program ends again and again"),
        ('CreateContainerConfigError: secret "x" not found', "a secret or a setting that it needs is not there"),
        ("OOMKilled", "it was ended because it needs more memory than its limit"),
        ("NotReady", "it runs, and does not take work yet"),
        (None, "it is being started"),
    ],
)
def test_why_it_has_a_machine_and_does_not_work(said: str | None, words: str) -> None:
    assert why(waiting(said, place=Place.STARTING), Sight(NOON)).startswith(words)


def test_those_that_wait_for_the_same_are_told_of_together() -> None:
    later = NOON + timedelta(minutes=1)
    pods = [waiting(since=later), waiting(name="b"), waiting(name="c", workers="video"), running("d")]
    image, video = held_up(Sight(NOON, pods, TWO_NODES))
    assert (image.workers, image.count, image.since) == ("image", 2, NOON)
    assert (video.workers, video.count) == ("video", 1)


def test_a_pool_is_what_can_be_used() -> None:
    slices = "nvidia.com/mig-1g.10gb"
    nodes = [*TWO_NODES, GpuNode("cordoned", {GPU: 8}, usable=False), GpuNode("sliced", {slices: 7}, usable=True)]
    assert pools(Sight(NOON, [running("a"), running("b"), waiting()], nodes)) == [
        Pool(GPU, machines=3, usable_machines=2, gpus=4, held_by_workers=2),
        Pool(slices, machines=1, usable_machines=1, gpus=7, held_by_workers=0),
    ]


def test_a_worker_is_known_by_the_name_of_its_pod() -> None:
    """Also where one pod's name is the end of another's."""
    sight = Sight(NOON, [running("a-b"), running("x-a-b"), waiting(name="c")])
    assert silent(sight, ["gpu-worker-image-x-a-b"]) == ["a-b"]
    assert silent(sight, ["gpu-worker-image-x-a-b", "gpu-worker-video-a-b"]) == []


@pytest.mark.parametrize(
    ("sight", "words"),
    [
        (Sight(NOON), "There are no workers now."),
        (
            Sight(NOON, [running("a"), running("b"), running("c", "video")]),
            "2 image workers and 1 video worker can work.",
        ),
        (
            Sight(NOON, [waiting()], TWO_NODES),
            "1 image worker cannot work: all 4 GPUs (nvidia.com/gpu) are taken; it starts when one is free or the pool "
            "grows.",
        ),
        (Sight(NOON, [running("mute")]), "1 worker should be working and cannot be heard."),
        (
            Sight(NOON, problems=["Kubernetes does not show the cluster's nodes: 403 Forbidden"]),
            "There are no workers now. Kubernetes does not show the cluster's nodes: 403 Forbidden.",
        ),
        (
            Sight(problems=["Kubernetes does not answer: away"]),
            "Kubernetes does not answer: away. What workers say of themselves is all there is to go by.",
        ),
    ],
)  # fmt: skip
def test_all_of_it_in_words(sight: Sight, words: str) -> None:
    heard = [f"gpu-worker-{pod.workers}-{pod.name}" for pod in sight.pods if pod.name != "mute"]
    assert in_words(sight, heard) == words
