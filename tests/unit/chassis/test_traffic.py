"""What a process tells Prometheus of requests and deliveries, and how many series a stranger can make of it."""

import pytest
from chassis.deliveries import Subscription
from chassis.metrics import OTHER, BoundedLabel
from chassis.service import Service
from contracts.errors import DependencyUnavailable
from contracts.events import CloudEvent, TaskChanged, task_changed
from contracts.testing.examples import a_task
from contracts.topics import TASK_EVENTS
from fastapi import APIRouter
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Running, Serve

Measured = dict[tuple[str, ...], float]


async def measured(running: Running) -> Measured:
    """By name without its beginning, and the values of labels by the labels' names."""
    answer = await running.http.get("/metrics")
    return {
        (sample.name.removeprefix("movie_tasks_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@pytest.fixture
def service() -> Service:
    router = APIRouter(prefix="/api/v1")

    @router.get("/things/{thing}")
    async def thing(thing: str) -> str:
        if thing == "broken":
            raise ValueError("a bug")
        return thing

    async def handle(changed: TaskChanged, _envelope: CloudEvent) -> None:
        if changed.task.title == "later":
            raise DependencyUnavailable("away")

    return Service("things", routers=[router], subscriptions=[Subscription(TASK_EVENTS, {TaskChanged: handle})])


COUNT = "http_request_duration_seconds_count"


async def test_a_request_is_measured_by_its_route_and_not_by_its_path(service: Service, serve: Serve) -> None:
    async with serve([service]) as running:
        for name in ("a", "b", "broken"):
            await running.http.get(f"/api/v1/things/{name}")
        found = await measured(running)
    assert found[COUNT, "GET", "/api/v1/things/{thing}", "200"] == 2
    assert found[COUNT, "GET", "/api/v1/things/{thing}", "500"] == 1
    assert found["http_request_duration_seconds_bucket", "+Inf", "GET", "/api/v1/things/{thing}", "200"] == 2


async def test_invented_paths_and_methods_make_no_series_of_their_own(service: Service, serve: Serve) -> None:
    async with serve([service]) as running:
        for number in range(20):
            await running.http.get(f"/api/v1/nothing/{number}")
            await running.http.request(f"VERB{number}", "/api/v1/nothing")
        found = {key for key in await measured(running) if key[0] == COUNT and key[2] == "none"}
    # `serving_of` has asked whether it has started.
    assert found == {(COUNT, "GET", "none", "404"), (COUNT, OTHER, "none", "404")}


async def test_deliveries_are_counted_by_their_answer(service: Service, serve: Serve) -> None:
    async with serve([service]) as running:
        await running.deliver(task_changed(a_task(), "test"))
        await running.deliver(task_changed(a_task(title="later"), "test"))
        found = await measured(running)
    assert found["deliveries_total", "SUCCESS", "task-events"] == 1
    assert found["deliveries_total", "RETRY", "task-events"] == 1
    assert found["delivery_duration_seconds_count", "task-events"] == 2


async def test_a_process_says_what_it_is_made_of_and_when_it_began(service: Service, serve: Serve) -> None:
    async with serve([service]) as running:
        found = await measured(running)
    assert [value for key, value in found.items() if key[0] == "build_info" and "things" in key] == [1]
    assert not [key for key in found if key[0].endswith("_created")]


def test_a_label_has_only_so_many_values() -> None:
    label = BoundedLabel(3, ["a"])
    assert [label(value) for value in ("b", "c", "d", "a", "b", "e")] == ["b", "c", OTHER, "a", "b", OTHER]
