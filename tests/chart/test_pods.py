"""What is in the pods: how they are guarded, asked for their health, given GPUs, and named."""

from typing import Any

import pytest
from chassis.health import health_routes
from contracts.media import Medium
from contracts.topics import App, worker_app

from tests.chart.helm import CHART, DEPLOYMENTS, EDITORS, NEEDED, WORKERS, Helm, container_of, of_kind
from tests.chart.kubectl import Object

GPU = {"nvidia.com/gpu.present": "true"}


def pods_of(rendered: list[Object]) -> dict[str, Object]:
    """By the name of the deployment or job."""
    workloads = of_kind(rendered, "Deployment") | of_kind(rendered, "Job")
    return {name: found["spec"]["template"]["spec"] for name, found in workloads.items()}


def worker(helm: Helm, changes: dict[str, Any]) -> Object:
    """The pod of the image worker."""
    found = of_kind(helm.render({"workers": {"image": changes}}), "Deployment")[App.GPU_WORKER_IMAGE]
    pod: Object = found["spec"]["template"]["spec"]
    return pod


def test_nobody_is_root_or_writes_to_the_image(rendered: list[Object]) -> None:
    for name, pod in pods_of(rendered).items():
        assert pod["automountServiceAccountToken"] is (name in (App.SUBMISSION, *WORKERS))
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])


def test_what_failed_at_making_topics_can_be_read(rendered: list[Object]) -> None:
    """A container that starts again in the same pod goes with the pod when the job is given up."""
    [job] = of_kind(rendered, "Job").values()
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("app", DEPLOYMENTS)
def test_health_is_asked_for_where_it_is_told(app: str, deployments: dict[str, Object]) -> None:
    container = container_of(deployments[app])
    told = {route.path for route in health_routes({}).routes if hasattr(route, "path")}
    probes = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")]
    assert {path.partition("?")[0] for path in probes} <= told
    # A database that is away must not take every replica away from those who only want to look.
    assert probes[-1] == ("/readyz" if app in WORKERS else f"/readyz?exclude={app}.database")


@pytest.mark.parametrize("medium", Medium)
def test_a_worker_hands_back_what_it_runs_before_it_is_killed(medium: Medium, deployments: dict[str, Object]) -> None:
    deployment = deployments[worker_app(medium)]
    variables = {one["name"]: one.get("value") for one in container_of(deployment)["env"]}
    grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert 60 <= int(variables["MOVIE_TASKS_WORKER_GRACE"]) == grace - 60
    assert deployment["spec"]["progressDeadlineSeconds"] > grace
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


def test_a_sidecar_without_kubernetes_help_stays_while_its_process_finishes(helm: Helm) -> None:
    for deployment in of_kind(helm.render({"dapr": {"nativeSidecar": False}}), "Deployment").values():
        template = deployment["spec"]["template"]
        annotations = template["metadata"]["annotations"]
        assert annotations["dapr.io/enable-native-sidecar"] == "false"
        assert annotations["dapr.io/enable-app-health-check"] == "true"
        grace = template["spec"]["terminationGracePeriodSeconds"]
        assert annotations["dapr.io/block-shutdown-duration"] == f"{grace - 30}s"


def test_weights_are_fetched_before_a_worker_starts(deployments: dict[str, Object]) -> None:
    pod = deployments[App.GPU_WORKER_IMAGE]["spec"]["template"]["spec"]
    [prefetch] = pod["initContainers"]
    assert prefetch["command"] == [
        "python", "-m", "gpu_worker.engine.prefetch", "/models",
        "--catalog", "/etc/movie-tasks/catalog.yaml", "sdxl", "flux-*",
    ]  # fmt: skip
    assert prefetch["volumeMounts"] == pod["containers"][0]["volumeMounts"]
    assert "initContainers" not in deployments[App.GPU_WORKER_VIDEO]["spec"]["template"]["spec"]


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "nvidia.com/mig-3g.40gb", "nvidia.com/gpu.shared"])
def test_a_worker_has_the_slice_of_a_gpu_that_was_asked_for(helm: Helm, resource: str) -> None:
    pod = worker(helm, {"gpu": {"resource": resource, "runtimeClassName": "nvidia"}})
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "32Gi", resource: "1"}
    assert pod["nodeSelector"] == GPU
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["runtimeClassName"] == "nvidia"


def test_a_worker_on_cpus_goes_anywhere(helm: Helm) -> None:
    pod = worker(helm, {"gpu": {"count": 0, "runtimeClassName": "nvidia"}, "nodeSelector": {"pool": "render"}})
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "32Gi"}
    assert pod["nodeSelector"] == {"pool": "render"}
    assert "tolerations" not in pod and "runtimeClassName" not in pod


def test_workers_for_models_of_their_own(helm: Helm) -> None:
    """Any number of them, with a share of their medium's work that is nobody else's to be started for."""
    small = {"medium": "video", "models": ["ltx-*", "wan2.1?"], "gpu": {"resource": "nvidia.com/mig-3g.40gb"}}
    found = helm.render({"workers": {"small": small}, "keda": {"enabled": True, "prometheus": "http://p"}})
    pod = of_kind(found, "Deployment")["gpu-worker-small"]["spec"]["template"]
    variables = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert (variables["MOVIE_TASKS_WORKER_MEDIUM"], variables["MOVIE_TASKS_MODELS"]) == ("video", "ltx-*,wan2.1?")
    assert pod["metadata"]["annotations"]["dapr.io/app-id"] == App.GPU_WORKER_VIDEO
    asked = {
        name: one["spec"]["triggers"][0]["metadata"]["query"] for name, one in of_kind(found, "ScaledObject").items()
    }
    assert 'model=~"ltx-.*|wan2[.]1."' in asked["gpu-worker-small"]
    assert 'model!~"mux|concat|ltx-.*|wan2[.]1."' in asked[App.GPU_WORKER_VIDEO]
    assert "model=" not in asked[App.GPU_WORKER_IMAGE].replace("by (model)", "")


def test_editors_need_no_gpu_and_little_else(deployments: dict[str, Object]) -> None:
    pod = deployments[EDITORS]["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod and "tolerations" not in pod
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "4Gi"},
    }  # fmt: skip


def test_a_worker_has_shared_memory_and_a_place_for_weights(helm: Helm) -> None:
    claim = {"persistentVolumeClaim": {"claimName": "models"}}
    changes = {
        "workerDefaults": {"cache": {"volume": {"hostPath": {"path": "/mnt"}}}},
        "workers": {"image": {"cache": {"volume": claim}}},
    }
    found = of_kind(helm.render(changes), "Deployment")
    pod = found[App.GPU_WORKER_IMAGE]["spec"]["template"]["spec"]
    volumes = {volume.pop("name"): volume for volume in pod["volumes"]}
    assert volumes["shm"] == {"emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}
    assert volumes["models"] == claim
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert set(mounts) == set(volumes) and mounts["shm"] == "/dev/shm"  # noqa: S108 - where torch looks


def test_weights_lie_with_the_pod_unless_a_place_is_named(helm: Helm) -> None:
    pod = worker(helm, {"cache": {"size": "50Gi"}})
    assert {"name": "models", "emptyDir": {"sizeLimit": "50Gi"}} in pod["volumes"]


def test_a_medium_that_is_switched_off_leaves_nothing(helm: Helm) -> None:
    found = helm.render({"workers": {"audio": {"enabled": False}}, "keda": {"enabled": True, "prometheus": "http://p"}})
    assert not [one for one in found if "gpu-worker-audio" in one["metadata"]["name"]]


def test_a_digest_counts_more_than_a_tag(helm: Helm) -> None:
    digest = f"sha256:{'0' * 64}"
    image = {"tag": "1.2.3", "registry": "registry.example.com/studio/", "digests": {"gpu-worker": digest}}
    found = of_kind(helm.render({"image": image}), "Deployment")
    assert container_of(found[App.STORAGE])["image"] == "registry.example.com/studio/movie-tasks-storage:1.2.3"
    assert (
        container_of(found[App.GPU_WORKER_IMAGE])["image"]
        == f"registry.example.com/studio/movie-tasks-gpu-worker@{digest}"
    )


def test_pods_change_with_the_components_and_not_with_the_charts_version(
    deployments: dict[str, Object], helm: Helm
) -> None:
    template = deployments[App.STORAGE]["spec"]["template"]["metadata"]
    assert not [label for label in template["labels"] if "chart" in label or "version" in label]
    other = of_kind(helm.render({"state": {"existingSecret": "other"}}), "Deployment")[App.STORAGE]
    name = "movie-tasks/components"
    assert other["spec"]["template"]["metadata"]["annotations"][name] != template["annotations"][name]


def test_a_worker_pushes_nobody_off_a_gpu_and_services_go_first(rendered: list[Object]) -> None:
    classes = of_kind(rendered, "PriorityClass")
    workers, services = sorted(classes.values(), key=lambda found: int(found["value"]))
    assert workers["preemptionPolicy"] == "Never"
    for name, pod in pods_of(rendered).items():
        if name in DEPLOYMENTS:
            expected = workers if name in WORKERS else services
            assert pod["priorityClassName"] == expected["metadata"]["name"]


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "ServiceAccount"])
def test_each_deployment_has_its_own(kind: str, rendered: list[Object]) -> None:
    assert set(of_kind(rendered, kind)) == set(DEPLOYMENTS)


LONG = "the-longest-name-that-helm-takes-for-a-release-abcdef"


def test_names_stay_short_and_apart(helm: Helm) -> None:
    """Two releases whose names differ in the last letter only."""
    names = []
    for release in (LONG, f"{LONG[:-1]}g"):
        assert len(release) == 53
        text = helm("template", release, str(CHART), values=NEEDED)
        found = [line.split(": ")[1] for line in text.splitlines() if line.startswith("  name: the-longest")]
        assert found and all(len(name) <= 50 for name in found), "a pod's name adds 17 characters, and may have 63"
        names.append(set(found))
    assert not names[0] & names[1]
