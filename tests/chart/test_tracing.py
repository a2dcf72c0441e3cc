"""Where traces go: nowhere, unless a collector is named; then every process knows it, and sidecars if they are to."""

import pytest

from tests.chart.helm import Helm, container_of, of_kind
from tests.chart.kubectl import Object, Refused

COLLECTOR = "http://collector.observability:4318"


def variables(workload: Object) -> dict[str, Object]:
    return {one["name"]: one for one in container_of(workload)["env"] if "TRACING" in one["name"]}


def sidecars(objects: list[Object]) -> Object:
    return dict(of_kind(objects, "Configuration")["movie-tasks"]["spec"]["tracing"])


def test_without_a_collector_nothing_is_traced(helm: Helm) -> None:
    found = helm.render()
    assert not any(variables(one) for one in of_kind(found, "Deployment").values())
    assert sidecars(found) == {"samplingRate": "0"}
    assert "collector" not in of_kind(found, "NetworkPolicy")


@pytest.mark.parametrize(("ratio", "text"), [(1, "1"), (0.01, "0.01")])
def test_every_process_knows_the_collector_and_shows_it_what_a_secret_holds(
    helm: Helm, ratio: float, text: str
) -> None:
    found = helm.render({"tracing": {"endpoint": COLLECTOR, "sampleRatio": ratio, "headersSecret": "collector"}})
    for workload in of_kind(found, "Deployment").values():
        said = variables(workload)
        assert said["MOVIE_TASKS_TRACING_ENDPOINT"]["value"] == COLLECTOR
        assert said["MOVIE_TASKS_TRACING_SAMPLE_RATIO"]["value"] == text
        secret = {"name": "collector", "key": "MOVIE_TASKS_TRACING_HEADERS"}
        assert said["MOVIE_TASKS_TRACING_HEADERS"]["valueFrom"] == {"secretKeyRef": secret}
    assert sidecars(found) == {"samplingRate": "0"}
    [rule] = of_kind(found, "NetworkPolicy")["collector"]["spec"]["egress"]
    assert rule == {"ports": [{"protocol": "TCP", "port": 4318}]}


def test_sidecars_pick_the_same_traces_and_tell_the_same_collector(helm: Helm) -> None:
    found = helm.render({"tracing": {"endpoint": "https://collector:4318", "sampleRatio": 0.25, "sidecars": True}})
    otel = {"endpointAddress": "collector:4318", "isSecure": True, "protocol": "http"}
    assert sidecars(found) == {"samplingRate": "0.25", "otel": otel}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"endpoint": COLLECTOR, "headersSecret": "collector"}, "tracing.sidecars: false"),
        ({"endpoint": f"{COLLECTOR}/otlp"}, "tracing.endpoint: without a path"),
    ],
)
def test_what_sidecars_cannot_do_is_refused(helm: Helm, given: dict[str, str], said: str) -> None:
    with pytest.raises(Refused, match=said):
        helm.render({"tracing": {"sidecars": True, **given}})
