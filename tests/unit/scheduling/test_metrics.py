"""What scheduling tells Prometheus of tasks' lives, of the queue and of itself."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from chassis.database import Database
from contracts.errors import DependencyUnavailable, Problem
from contracts.identifiers import task_id_for
from contracts.media import Medium
from contracts.tasks import (
    Advance,
    Assign,
    Complete,
    Fail,
    Move,
    Phase,
    Priority,
    ProcessingProgress,
    Produce,
    Reminder,
    RequestCancel,
    RetryLater,
    TakeBack,
    Task,
    apply,
)
from contracts.testing.examples import NOON, a_problem, media_result, produced_media
from prometheus_client.parser import text_string_to_metric_families
from scheduling.adapters.queue_metrics import THE_REST, folded
from scheduling.adapters.task_metrics import MOST_CAUSES, WASTING
from scheduling.app import create
from scheduling.ports import Depth

from tests.conftest import Serve, World
from tests.unit.scheduling.driving import Scheduling, settings_of

LOST = Problem.of("worker-lost", "The worker was lost", "", retryable=True)


@pytest.fixture
async def scheduling(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Scheduling]:
    async with serve([create(settings_of(database_url("scheduling")), world.outside)]) as running:
        yield Scheduling(running, world)


async def measured(scheduling: Scheduling) -> dict[str, float]:
    """By name without its beginning, with the labels in their names' order; of what is counted only what happened."""
    answer = await scheduling.running.http.get("/metrics")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(value for _, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('movie_tasks_')}{{{labels}}}"] = sample.value
    return found


async def live(scheduling: Scheduling, task: Task, *moves: tuple[float, Move]) -> Task:
    """Hears of each move, so many seconds after noon."""
    for seconds, move in moves:
        clock = scheduling.world.clock
        clock.advance(seconds=seconds - (clock.now() - NOON).total_seconds())
        task = apply(task, move, clock.now())
        await scheduling.hear(task)
    return task


def assigned(seconds: float) -> tuple[float, Move]:
    return seconds, Assign("worker-1", NOON + timedelta(seconds=seconds + 15))


async def test_a_task_that_needs_two_attempts(scheduling: Scheduling) -> None:
    task = await scheduling.accept(priority=Priority.HIGH)
    halfway = ProcessingProgress(step=2, total=4, fraction=0.5)
    await live(
        scheduling,
        task,
        assigned(4),
        (5, Advance(1, Phase.LOADING_MODEL)),
        (8, Advance(1, Phase.GENERATING)),
        (12, Advance(1, Phase.GENERATING, halfway)),
        (15, RetryLater(1, LOST, NOON + timedelta(seconds=16))),
        assigned(20),
        (21, Advance(2, Phase.GENERATING)),
        (31, Produce(2, produced_media(task, 2), NOON + timedelta(seconds=30))),
        (33, Complete(2, media_result(task))),
    )
    found = await measured(scheduling)
    assert found["tasks_accepted_total{image,high}"] == 1
    assert found["tasks_ended_total{done,image}"] == 1
    assert found["attempt_failures_total{worker-lost,image,retried}"] == 1
    assert found["task_wait_seconds_sum{image,high}"] == 5, "until its first run began, and not its second"
    assert found["task_wait_seconds_count{image,high}"] == 1
    assert found["task_phase_seconds_sum{image,loading_model}"] == 3
    assert found["task_phase_seconds_sum{image,generating}"] == 7 + 9
    assert found["task_phase_seconds_sum{image,encoding}"] == 1
    assert found["task_phase_seconds_sum{image,storing}"] == 2
    assert found["gpu_seconds_total{image}"] == 3 + 7 + 9 + 1
    assert found["wasted_gpu_seconds_total{cold_start,image}"] == 3
    assert found["wasted_gpu_seconds_total{worker-lost,image}"] == 7
    assert found["project_gpu_seconds_total{p1}"] == 20


@pytest.mark.parametrize(
    ("last", "cause", "end"),
    [
        (Fail(1, a_problem(retryable=False)), "engine-crashed", "failed"),
        (TakeBack(1), "handed_back", None),
    ],
)
async def test_time_that_came_to_nothing_is_told_by_its_cause(
    scheduling: Scheduling, last: Move, cause: str, end: str | None
) -> None:
    task = await scheduling.accept()
    await live(scheduling, task, assigned(1), (2, Advance(1, Phase.GENERATING)), (6, last))
    found = await measured(scheduling)
    wasted = {key: value for key, value in found.items() if key.startswith("wasted_gpu_seconds_total") and value}
    assert wasted == {f"wasted_gpu_seconds_total{{{cause},image}}": 4}
    ended = {key: value for key, value in found.items() if key.startswith("tasks_ended_total") and value}
    assert ended == ({f"tasks_ended_total{{{end},image}}": 1} if end else {})


@pytest.mark.parametrize(("code", "fault"), [("unusable-input", "request"), ("engine-crashed", "platform")])
async def test_who_is_to_blame_for_a_failure(scheduling: Scheduling, code: str, fault: str) -> None:
    task = await scheduling.accept()
    await live(scheduling, task, assigned(1), (2, Fail(1, Problem.of(code, "", "", retryable=False))))
    found = await measured(scheduling)
    for one in ("request", "platform"):
        assert found[f"tasks_failed_total{{{one},image}}"] == float(one == fault)


async def test_a_run_that_is_cancelled_is_waste(scheduling: Scheduling) -> None:
    task = await scheduling.accept()
    running = (assigned(1), (2, Advance(1, Phase.GENERATING)), (5, RequestCancel()), (6, TakeBack(1)))
    await live(scheduling, task, *running)
    found = await measured(scheduling)
    assert found["tasks_ended_total{cancelled,image}"] == 1
    assert found["wasted_gpu_seconds_total{cancelled,image}"] == 4


async def test_what_is_heard_again_is_not_counted_again(scheduling: Scheduling) -> None:
    task = await scheduling.accept()
    done = await live(scheduling, task, (1, RequestCancel()))
    for state in (task, done, done):
        await scheduling.hear(state)
    found = await measured(scheduling)
    assert found["tasks_accepted_total{image,medium}"] == 1
    assert found["tasks_ended_total{cancelled,image}"] == 1


async def test_before_anything_has_happened_it_is_told_that_nothing_has(scheduling: Scheduling) -> None:
    """A rate needs a value before the first."""
    found = await measured(scheduling)
    for medium in Medium:
        assert found[f"tasks_ended_total{{failed,{medium.value}}}"] == 0
        assert found[f"task_wait_seconds_count{{{medium.value},high}}"] == 0
        assert found[f"gpu_seconds_total{{{medium.value}}}"] == 0
        for then in ("retried", "failed"):
            assert found[f"attempt_failures_total{{worker-lost,{medium.value},{then}}}"] == 0
        for cause in ("worker-lost", "handed_back", "engine-crashed", "gpu-fault"):
            assert found[f"wasted_gpu_seconds_total{{{cause},{medium.value}}}"] == 0
    assert found["reminder_lateness_seconds_count{}"] == 0


async def test_there_are_only_so_many_causes(scheduling: Scheduling) -> None:
    for number in range(60):
        task = await scheduling.accept(id=task_id_for("p1", str(number)))
        problem = Problem.of(f"problem-{number}", "A problem", "", retryable=False)
        await live(scheduling, task, assigned(1), (2, Fail(1, problem)))
    found = await measured(scheduling)
    causes = {key: value for key, value in found.items() if key.startswith("attempt_failures_total") and value}
    known = MOST_CAUSES - len(WASTING)
    assert (len(causes), causes["attempt_failures_total{other,image,failed}"]) == (known + 1, 60 - known)


async def test_what_alerts_ask_for_is_never_among_the_others(scheduling: Scheduling) -> None:
    for number in range(60):
        task = await scheduling.accept(id=task_id_for("p1", str(number)))
        problem = Problem.of(f"problem-{number}", "A problem", "", retryable=False)
        await live(scheduling, task, assigned(1), (2, Fail(1, problem)))
    task = await scheduling.accept()
    await live(scheduling, task, assigned(1), (2, Advance(1, Phase.GENERATING)), (6, Fail(1, LOST)))
    found = await measured(scheduling)
    assert found["attempt_failures_total{worker-lost,image,failed}"] == 1
    assert found["wasted_gpu_seconds_total{worker-lost,image}"] == 4


async def test_how_deep_the_queue_is_and_how_old(scheduling: Scheduling) -> None:
    await scheduling.accept(id=task_id_for("p1", "1"), project_id="p1")
    await scheduling.accept(id=task_id_for("p2", "1"), project_id="p2", priority=Priority.LOW)
    later = {"phase": Phase.SCHEDULED, "start_at": NOON + timedelta(hours=1)}
    await scheduling.accept(id=task_id_for("p2", "2"), project_id="p2", **later)
    await scheduling.pass_time(minutes=2)
    await scheduling.accept(id=task_id_for("p1", "2"), project_id="p1", created_at=scheduling.world.clock.now())
    found = await measured(scheduling)
    queued = {key: value for key, value in found.items() if key.startswith("queue_")}
    assert queued == {
        "queue_tasks{image,medium,p1}": 2,
        "queue_oldest_seconds{image,medium,p1}": 120,
        "queue_tasks{image,low,p2}": 1,
        "queue_oldest_seconds{image,low,p2}": 120,
    }


def test_however_many_projects_there_are_so_many_are_named() -> None:
    depths = [
        Depth(Medium.IMAGE, f"p{number}", priority, number + 1, NOON - timedelta(seconds=number))
        for number in range(1000)
        for priority in (Priority.LOW, Priority.HIGH)
    ]
    found = folded(depths, 2)
    assert {depth.project_id for depth in found} == {"p999", "p998", THE_REST}
    assert len(found) == 6
    assert sum(depth.tasks for depth in found) == sum(depth.tasks for depth in depths), "none is left out"
    assert {depth.oldest for depth in found if depth.project_id == THE_REST} == {NOON - timedelta(seconds=997)}


async def test_a_replica_says_whether_it_leads(
    scheduling: Scheduling, world: World, serve: Serve, database_url: Callable[[str], str]
) -> None:
    follower = create(settings_of(database_url("scheduling"), "another"), world.outside)
    async with serve([follower]) as running:
        assert (await measured(scheduling))["leader{}"] == 1
        assert (await measured(Scheduling(running, world)))["leader{}"] == 0


async def test_how_late_a_reminder_was_said(scheduling: Scheduling) -> None:
    await scheduling.accept(reminders=(Reminder(at=NOON + timedelta(minutes=1)),))
    scheduling.world.clock.advance(minutes=1, seconds=7)
    await scheduling.pass_time(seconds=0)
    found = await measured(scheduling)
    assert found["reminder_lateness_seconds_count{}"] == 1
    assert found["reminder_lateness_seconds_sum{}"] == 7


async def test_without_its_tables_it_says_nothing_of_the_queue(
    scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scheduling.accept()

    def away(_database: Database) -> None:
        raise DependencyUnavailable("away")

    monkeypatch.setattr(Database, "statement", away)
    found = await measured(scheduling)
    assert not [key for key in found if key.startswith(("queue_", "project_"))]
    assert found["tasks_accepted_total{image,medium}"] == 1
