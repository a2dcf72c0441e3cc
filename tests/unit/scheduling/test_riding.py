"""Who goes along with whom in one forward pass."""

from datetime import timedelta

import pytest
from contracts.tasks import ReplayOf
from contracts.testing.examples import NOON, a_task, media_result
from hypothesis import given
from hypothesis import strategies as st
from scheduling.domain.company import ALONE, Company, company
from scheduling.domain.matching import FreeWorker, Pairing, match
from scheduling.domain.riding import Waiting

from tests.conftest import TINY_MODELS

AGEING = timedelta(minutes=10)
LOW, MEDIUM, HIGH = 0, 1, 2
X4, Y4 = Company("x", 4), Company("y", 4)


def waiting(
    task_id: str, project: str = "p", rank: int = MEDIUM, model: str = "m", age: float = 0, company: Company = X4
) -> Waiting:
    return Waiting(task_id, project, model, rank, NOON - timedelta(seconds=age), 10, 5, company)


def worker(worker_id: str = "w", models: str = "mn") -> FreeWorker:
    return FreeWorker(worker_id, frozenset(models), frozenset(models), 1)


def matched(tasks: list[Waiting], workers: list[FreeWorker], usage: dict[str, float] | None = None) -> list[Pairing]:
    return match(tasks, workers, usage or {}, NOON, AGEING)


def ids(pairings: list[Pairing]) -> list[str]:
    return [pairing.task_id for pairing in pairings]


def test_alike_tasks_go_along_up_to_the_most() -> None:
    pairings = matched([waiting(f"{n}", age=9 - n) for n in range(6)], [worker()])
    assert pairings == [Pairing(f"{n}", "w", goes_with="0", together=4) for n in range(4)]


def test_what_is_not_alike_waits() -> None:
    tasks = [waiting("a", age=3), waiting("b", age=2, company=Y4), waiting("c", age=1, company=ALONE)]
    assert matched(tasks, [worker()]) == [Pairing("a", "w")]


def test_what_must_run_alone_takes_nobody_along() -> None:
    assert matched([waiting(n, company=ALONE) for n in "abc"], [worker()]) == [Pairing("a", "w")]


def test_every_free_worker_starts_something_before_anybody_goes_along() -> None:
    pairings = matched([waiting(f"{n}", age=9 - n) for n in range(3)], [worker("v"), worker("w")])
    assert [(pairing.task_id, pairing.worker_id) for pairing in pairings] == [("0", "v"), ("1", "w"), ("2", "v")]
    assert [pairing.together for pairing in pairings] == [2, 1, 2]


def test_those_that_go_along_are_spread_evenly() -> None:
    pairings = matched([waiting(f"{n}", age=9 - n) for n in range(6)], [worker("v"), worker("w")])
    assert [pairing.together for pairing in pairings] == [3] * 6


def test_projects_take_turns_in_going_along_too() -> None:
    flood = [waiting(f"a{n}", "greedy", age=100 - n) for n in range(4)]
    few = [waiting("b0", "modest", age=2), waiting("b1", "modest", age=1)]
    assert ids(matched(flood + few, [worker()])) == ["a0", "b0", "a1", "b1"]
    assert ids(matched(flood + few, [worker()], {"greedy": 100.0})) == ["b0", "b1", "a0", "a1"]


def test_the_head_of_the_queue_chooses_what_runs() -> None:
    many = [waiting(f"{n}", age=50) for n in range(4)]
    assert ids(matched([*many, waiting("urgent", rank=HIGH, company=Y4)], [worker()])) == ["urgent"]


def test_nobody_makes_something_more_urgent_wait_for_longer() -> None:
    head, other = waiting("head", rank=HIGH, age=9), waiting("other", rank=HIGH, company=Y4)
    low, high = waiting("low", rank=LOW), waiting("high", rank=HIGH)
    assert ids(matched([head, other, low, high], [worker()])) == ["head", "high"]
    assert ids(matched([head, low, high], [worker()])) == ["head", "high", "low"]


def test_what_waits_for_another_worker_keeps_nobody_from_going_along() -> None:
    head, low = waiting("head", rank=HIGH, age=9), waiting("low", rank=LOW)
    elsewhere = waiting("elsewhere", rank=HIGH, model="x", company=Y4)
    assert ids(matched([head, elsewhere, low], [worker()])) == ["head", "low"]


def test_a_project_that_was_passed_by_a_batch_is_next() -> None:
    tasks = [waiting(f"a{n}", "a", age=9) for n in range(8)] + [waiting("b", "b", age=1, company=Y4)]
    first = matched(tasks, [worker()])
    assert ids(first) == ["a0", "a1", "a2", "a3"]
    left = [task for task in tasks if task.task_id not in ids(first)]
    assert ids(matched(left, [worker()], {"a": 10.0 * len(first)}))[0] == "b"


tasks_strategy = st.lists(
    st.builds(
        waiting,
        task_id=st.uuids().map(str),
        project=st.sampled_from("abc"),
        rank=st.integers(0, 2),
        model=st.just("m"),
        age=st.floats(0, 5000),
        company=st.sampled_from([X4, Y4, ALONE]),
    ),
    max_size=20,
    unique_by=lambda task: task.task_id,
)


@given(tasks_strategy, st.integers(1, 3))
def test_going_along_changes_nothing_for_those_that_start(tasks: list[Waiting], workers: int) -> None:
    free = [worker(f"w{n}") for n in range(workers)]
    pairings = matched(tasks, free)
    heads = [pairing for pairing in pairings if pairing.goes_with in (None, pairing.task_id)]
    alone = matched([Waiting(**{**vars(task), "company": ALONE}) for task in tasks], free)
    assert [(p.task_id, p.worker_id) for p in heads] == [(p.task_id, p.worker_id) for p in alone]
    assert len(set(ids(pairings))) == len(pairings)
    by_id = {task.task_id: task for task in tasks}
    for head in heads:
        batch = [by_id[p.task_id] for p in pairings if p.worker_id == head.worker_id]
        assert len(batch) == head.together <= max(1, batch[0].company.most)
        assert len(batch) == 1 or {task.company for task in batch} == {batch[0].company} != {ALONE}


def test_tasks_may_share_a_pass_if_they_differ_in_what_is_given_per_item() -> None:
    params = {"prompt": "a red circle", "negative_prompt": "", "seed": 1, "steps": 4}
    one = company(a_task(params=params), TINY_MODELS)
    assert one.most == 8
    assert company(a_task(params=params | {"prompt": "x", "negative_prompt": "y", "seed": 2}), TINY_MODELS) == one
    assert company(a_task(params=params | {"steps": 5}), TINY_MODELS) != one
    assert company(a_task(params=params | {"width": 256, "height": 256}), TINY_MODELS).most == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"failures": 1},
        {"replay_of": ReplayOf(task_id=a_task().id, media_id=media_result(a_task()).id)},
        {"inputs": {"image": media_result(a_task()).id}},
        {"model": "left-the-catalog"},
        {"model": "tiny-image-edit"},
    ],
)
def test_some_tasks_run_alone(changes: dict[str, object]) -> None:
    assert company(a_task(**changes), TINY_MODELS) == ALONE
