from dataclasses import replace
from datetime import timedelta

from contracts.testing.examples import NOON
from hypothesis import given
from hypothesis import strategies as st
from scheduling.domain.company import Company
from scheduling.domain.matching import FreeWorker, Pairing, match
from scheduling.domain.riding import Waiting

AGEING = timedelta(minutes=10)
LOW, MEDIUM, HIGH = 0, 1, 2


def waiting(
    task_id: str,
    project: str = "p",
    rank: int = MEDIUM,
    model: str = "m",
    age: float = 0,
    run: float = 10,
    load: float = 5,
    alike: str | None = None,
    most: int = 1,
) -> Waiting:
    return Waiting(task_id, project, model, rank, NOON - timedelta(seconds=age), run, load, Company(alike, most))


def worker(worker_id: str = "w", models: str = "mn", warm: str = "", slots: int = 1) -> FreeWorker:
    return FreeWorker(worker_id, frozenset(models), frozenset(warm), slots)


def order(tasks: list[Waiting], usage: dict[str, float] | None = None, warm: str = "mn") -> list[str]:
    """The order in which one worker with enough slots gets the tasks."""
    many = worker(warm=warm, slots=len(tasks))
    return [pairing.task_id for pairing in match(tasks, [many], usage or {}, NOON, AGEING)]


def test_priority_comes_first() -> None:
    assert order([waiting("a", rank=LOW, age=60), waiting("b", rank=HIGH), waiting("c", age=30)]) == ["b", "c", "a"]


def test_within_a_project_the_longest_waiting_comes_first() -> None:
    assert order([waiting("a", age=1), waiting("b", age=3), waiting("c", age=2)]) == ["b", "c", "a"]


def test_projects_take_turns_by_what_they_use() -> None:
    flood = [waiting(f"a{n}", "greedy", age=100 - n) for n in range(4)]
    few = [waiting("b0", "modest", age=2), waiting("b1", "modest", age=1)]
    assert order(flood + few) == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_what_was_used_lately_counts() -> None:
    tasks = [waiting("a", "heavy", age=100), waiting("b", "light")]
    assert order(tasks, {"heavy": 100.0}) == ["b", "a"]


def test_a_costly_run_weighs_more_than_a_cheap_one() -> None:
    films = [waiting(f"film{n}", "films", run=100, age=9) for n in range(2)]
    stills = [waiting(f"still{n}", "stills", run=10, age=5) for n in range(4)]
    assert order(films + stills) == ["film0", "still0", "still1", "still2", "still3", "film1"]


def test_whoever_waits_long_enough_rises() -> None:
    assert order([waiting("fresh", rank=HIGH), waiting("old", rank=LOW, age=1201)]) == ["old", "fresh"]


def test_only_a_worker_that_has_the_model_gets_it() -> None:
    assert match([waiting("a", model="x")], [worker(models="mn")], {}, NOON, AGEING) == []
    tasks = [waiting("a", model="x"), waiting("b", model="m")]
    assert match(tasks, [worker(models="m")], {}, NOON, AGEING) == [Pairing("b", "w")]


def test_a_warm_worker_is_chosen_before_a_cold_one() -> None:
    cold, warm = worker("cold"), worker("warm", warm="m")
    assert match([waiting("a")], [cold, warm], {}, NOON, AGEING) == [Pairing("a", "warm")]


def test_a_loaded_model_goes_first_while_that_saves_more_than_it_costs() -> None:
    head = waiting("head", model="n", age=10, load=20)
    quick = [waiting(f"quick{n}", model="m", age=1, run=5, load=20) for n in range(3)]
    assert match([head, *quick], [worker(warm="m")], {}, NOON, AGEING)[0].task_id == "quick0"
    slow = [waiting(f"slow{n}", model="m", age=1, run=100, load=20) for n in range(3)]
    assert match([head, *slow], [worker(warm="m")], {}, NOON, AGEING)[0].task_id == "head"


def test_a_rare_model_is_not_starved_by_a_busy_one() -> None:
    head = waiting("head", model="n", age=81, load=20)
    quick = [waiting(f"quick{n}", model="m", age=1, run=5, load=20) for n in range(3)]
    assert match([head, *quick], [worker(warm="m")], {}, NOON, AGEING)[0].task_id == "head"


def test_a_loaded_model_does_not_jump_over_a_higher_priority() -> None:
    tasks = [waiting("urgent", model="n", rank=HIGH, load=20), waiting("warm", model="m", run=1, load=20)]
    assert match(tasks, [worker(warm="m")], {}, NOON, AGEING)[0].task_id == "urgent"


tasks_strategy = st.lists(
    st.builds(
        waiting,
        task_id=st.uuids().map(str),
        project=st.sampled_from("abc"),
        rank=st.integers(0, 2),
        model=st.sampled_from("mnx"),
        age=st.floats(0, 5000),
        run=st.floats(0.1, 1000),
        load=st.floats(0.1, 100),
    ),
    max_size=12,
    unique_by=lambda task: task.task_id,
)
workers_strategy = st.lists(
    st.builds(
        worker,
        worker_id=st.uuids().map(str),
        models=st.sampled_from(["m", "mn", "mnx"]),
        warm=st.sampled_from(["", "m"]),
        slots=st.integers(0, 3),
    ),
    max_size=5,
    unique_by=lambda one: one.worker_id,
)


@given(tasks_strategy, workers_strategy)
def test_no_task_twice_no_slot_twice_and_nothing_left_that_could_run(
    tasks: list[Waiting], workers: list[FreeWorker]
) -> None:
    pairings = match(tasks, workers, {}, NOON, AGEING)
    by_id, by_worker = {task.task_id: task for task in tasks}, {one.worker_id: one for one in workers}
    assert len({pairing.task_id for pairing in pairings}) == len(pairings)
    left = {one.worker_id: one.slots for one in workers}
    for pairing in pairings:
        assert by_id[pairing.task_id].model in by_worker[pairing.worker_id].models
        left[pairing.worker_id] -= 1
    assert all(slots >= 0 for slots in left.values())
    placed = {pairing.task_id for pairing in pairings}
    for task in tasks:
        if task.task_id not in placed:
            assert not any(left[one.worker_id] > 0 and task.model in one.models for one in workers)


@given(st.integers(1, 6), st.integers(1, 30))
def test_equal_projects_get_equal_shares(projects: int, rounds: int) -> None:
    tasks = [waiting(f"{p}-{n}", f"p{p}", age=100 - n) for p in range(projects) for n in range(rounds)]
    served = [task_id.split("-")[0] for task_id in order(tasks)]
    for prefix in range(0, len(served), projects):
        assert len(set(served[prefix : prefix + projects])) == projects


def test_what_fitted_no_smaller_device_waits_for_a_larger_one() -> None:
    grown = replace(waiting("grown", age=9), above_mb=16_000)
    small, large = (replace(worker(name), memory_mb=size) for name, size in (("small", 16_000), ("large", 80_000)))
    assert match([grown], [small], {}, NOON, AGEING) == []
    [pairing] = match([grown], [small, large], {}, NOON, AGEING)
    assert pairing.worker_id == "large"
    others = [waiting("next"), grown]
    assert {(one.task_id, one.worker_id) for one in match(others, [small], {}, NOON, AGEING)} == {("next", "small")}
