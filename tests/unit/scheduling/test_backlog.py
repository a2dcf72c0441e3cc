"""What scheduling tells those who scale workers."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from chassis.database import Database
from contracts.budgets import Budget, Per
from contracts.errors import DependencyUnavailable
from contracts.identifiers import task_id_for
from contracts.media import Medium
from contracts.records import project_records
from contracts.tasks import Phase
from contracts.testing.examples import NOON
from prometheus_client.parser import text_string_to_metric_families
from scheduling.app import create
from scheduling.domain.backlog import Kind, affordable

from tests.conftest import TINY_MODELS, Serve, World
from tests.unit.scheduling.driving import Scheduling, settings_of

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def scheduling(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Scheduling]:
    async with serve([create(settings_of(database_url("scheduling")), world.outside)]) as running:
        yield Scheduling(running, world)


async def measured(scheduling: Scheduling) -> dict[tuple[str, ...], float]:
    """By name without its beginning, medium, model and state."""
    answer = await scheduling.running.http.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name.removeprefix("movie_tasks_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name.startswith(("movie_tasks_backlog_", "movie_tasks_busy_"))
    }


async def test_of_an_empty_queue_everything_is_nought(scheduling: Scheduling) -> None:
    found = await measured(scheduling)
    assert set(found.values()) == {0}
    offered = {(model.medium.value, model.key) for model in scheduling.world.catalog.models}
    assert {key[1:3] for key in found} == offered, "no value is not the same as nought"


async def test_seconds_that_wait_and_workers_that_are_at_it(scheduling: Scheduling) -> None:
    image = TINY_MODELS.get("tiny-image")
    assert image is not None
    await scheduling.heartbeat()
    for number in range(3):
        await scheduling.accept(id=task_id_for("p1", str(number)))
    await scheduling.accept(id=task_id_for("p1", "later"), phase=Phase.SCHEDULED, start_at=NOON + MINUTE)
    found = await measured(scheduling)
    assert found["backlog_tasks", "image", "tiny-image", "queued"] == 2
    assert found["backlog_gpu_seconds", "image", "tiny-image", "queued"] == 2 * image.run_seconds
    assert found["backlog_tasks", "image", "tiny-image", "running"] == 1
    assert found["backlog_gpu_seconds", "image", "tiny-image", "running"] == image.run_seconds
    assert found["busy_workers", "image", "tiny-image"] == 1
    assert found["busy_workers", "video", "mux"] == 0

    await scheduling.pass_time(minutes=1.1)
    assert (await measured(scheduling))["backlog_tasks", "image", "tiny-image", "queued"] >= 3, "its time has come"


async def test_a_model_that_has_left_the_catalog_keeps_no_gpu(scheduling: Scheduling) -> None:
    await scheduling.accept(model="gone")
    assert set((await measured(scheduling)).values()) == {0}


async def test_what_a_projects_budget_does_not_allow_keeps_no_gpu(scheduling: Scheduling) -> None:
    image = TINY_MODELS.get("tiny-image")
    assert image is not None
    world = scheduling.world
    await world.add_project("p1", "key")
    budget = Budget(gpu_seconds=2.5 * image.run_seconds, per=Per.MONTH)
    changed = {"budget": budget, "budget_since": world.clock.now()}
    await project_records(world.state).change("p1", lambda project: project.model_copy(update=changed))
    for number in range(5):
        await scheduling.accept(id=task_id_for("p1", str(number)))
    found = await measured(scheduling)
    assert found["backlog_tasks", "image", "tiny-image", "queued"] == 2
    assert found["backlog_gpu_seconds", "image", "tiny-image", "queued"] == 2 * image.run_seconds


def test_room_is_shared_by_a_projects_media_and_is_nobody_elses() -> None:
    queued = {
        Kind("poor", Medium.IMAGE, "short"): 3,
        Kind("poor", Medium.VIDEO, "long"): 3,
        Kind("free", Medium.VIDEO, "long"): 3,
        Kind("over", Medium.IMAGE, "short"): 3,
        Kind("free", Medium.IMAGE, "gone"): 3,
    }
    counted = affordable(queued, {"short": 1, "long": 10}, {"poor": 14, "over": -5})
    assert +counted == {(Medium.IMAGE, "short"): 3, (Medium.VIDEO, "long"): 4}


async def test_what_cannot_be_counted_is_not_called_nought(
    scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scheduling.accept()
    assert (await measured(scheduling))["backlog_tasks", "image", "tiny-image", "queued"] == 1

    def away(_database: Database) -> None:
        raise DependencyUnavailable("away")

    monkeypatch.setattr(Database, "transaction", away)
    assert await measured(scheduling) == {}
    monkeypatch.undo()
    assert (await measured(scheduling))["backlog_tasks", "image", "tiny-image", "queued"] == 1
