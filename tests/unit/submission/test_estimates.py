"""When tasks will be done, as far as it can be known."""

import random
from collections.abc import Sequence
from datetime import timedelta

import pytest
from contracts.tasks import Estimate, Outlook, Phase, Priority, ProcessingProgress, Task
from contracts.testing.examples import NOON, a_task, a_task_in
from hypothesis import given
from hypothesis import strategies as st
from submission.domain.estimates import (
    ENOUGH_ALIKE,
    ENOUGH_SUMS,
    Backlog,
    Finished,
    Kind,
    Waiting,
    estimate,
    learned,
    run_seconds,
    still_running,
    wait_seconds,
)

KIND = Kind("sdxl", "1024", 1.0, 30.0)
EACH = {"sdxl": 10.0, "flux": 40.0}


def ran(seconds: float, shape: str = "1024", work: float = 1.0, device: str = "A", model: str = "sdxl") -> Finished:
    return Finished(model, shape, work, device, seconds, None)


class TestRuns:
    def test_nothing_known_is_what_the_catalog_says_for_that_much_work(self) -> None:
        assert run_seconds(KIND, []) == 30.0
        assert run_seconds(Kind("sdxl", "2048", 4.0, 30.0), []) == 120.0

    def test_the_same_asked_often_enough_is_the_best_witness(self) -> None:
        others = [ran(100.0, shape="512", work=0.5)] * 50
        assert run_seconds(KIND, [ran(11.0)] * ENOUGH_ALIKE + others) == 11.0

    def test_other_sizes_of_the_model_are_scaled(self) -> None:
        assert run_seconds(KIND, [ran(5.0, shape="512", work=0.25)] * 3) == 20.0

    def test_other_models_say_nothing(self) -> None:
        assert run_seconds(KIND, [ran(1.0, model="flux")] * 9) == 30.0

    def test_the_devices_that_are_there_are_asked_first(self) -> None:
        known = [ran(10.0, device="A")] * 9 + [ran(40.0, device="B")] * 9
        assert run_seconds(KIND, known, frozenset({"B"})) == 40.0
        assert run_seconds(KIND, known, frozenset({"C"})) in (10.0, 25.0, 40.0)

    def test_one_slow_run_is_not_believed(self) -> None:
        assert run_seconds(KIND, [ran(10.0)] * 8 + [ran(900.0)]) == 10.0


class TestWaiting:
    def wait(
        self, *waiting: Waiting, own_ahead: int = 0, running: dict[str, int] | None = None, slots: int = 1,
        priority: Priority = Priority.MEDIUM,
    ) -> float:  # fmt: skip
        return wait_seconds("own", priority, own_ahead, Backlog(waiting, running or {}, slots, frozenset()), EACH)

    def test_a_free_worker_and_nobody_before_it(self) -> None:
        assert self.wait() == 0.0
        assert self.wait(running={"sdxl": 1}, slots=2) == 0.0

    def test_what_runs_is_half_done(self) -> None:
        assert self.wait(running={"flux": 1}) == 20.0

    def test_all_of_higher_priority_goes_first(self) -> None:
        assert self.wait(Waiting("other", "sdxl", Priority.HIGH, 7)) == 70.0
        assert self.wait(Waiting("other", "sdxl", Priority.LOW, 7)) == 0.0

    def test_projects_take_turns(self) -> None:
        crowd = Waiting("other", "sdxl", Priority.MEDIUM, 1000)
        assert self.wait(crowd) == 10.0
        own = Waiting("own", "sdxl", Priority.MEDIUM, 3)
        assert self.wait(crowd, own, own_ahead=3) == (4 + 3) * 10.0

    def test_more_workers_wait_less(self) -> None:
        crowd = Waiting("other", "flux", Priority.HIGH, 8)
        assert self.wait(crowd, slots=4) == self.wait(crowd) / 4

    def test_no_worker_at_all_is_no_division_by_nothing(self) -> None:
        assert self.wait(Waiting("other", "sdxl", Priority.HIGH, 2), slots=0) == 20.0


class TestErrors:
    def taught(self, errors: Sequence[float]) -> list[Finished]:
        return [Finished("sdxl", "1024", 1.0, "A", None, error) for error in errors]

    def test_few_errors_teach_nothing_yet(self) -> None:
        found = estimate(10.0, NOON, NOON, self.taught([50.0] * (ENOUGH_SUMS - 1)))
        assert found.p50_at == NOON + timedelta(seconds=10)
        assert found.p90_at > found.p50_at

    def test_what_always_took_twice_as_long_is_said_to(self) -> None:
        found = estimate(10.0, NOON, NOON, self.taught([2.0] * 30))
        assert found.p50_at == found.p90_at == NOON + timedelta(seconds=20)

    @pytest.mark.parametrize(("spread", "bias"), [(0.1, 1.0), (0.5, 1.0), (0.8, 3.0), (0.3, 0.2)])
    def test_half_are_done_by_the_one_and_nine_in_ten_by_the_other(self, spread: float, bias: float) -> None:
        draw = random.Random(1)
        before = self.taught([bias * draw.lognormvariate(0, spread) for _ in range(200)])
        found = estimate(10.0, NOON, NOON, before)
        took = [timedelta(seconds=10 * bias * draw.lognormvariate(0, spread)) for _ in range(1000)]
        assert 0.4 < sum(NOON + one <= found.p50_at for one in took) / 1000 < 0.6
        assert 0.84 < sum(NOON + one <= found.p90_at for one in took) / 1000 < 0.96

    @given(st.lists(st.floats(0, 1e6), max_size=300), st.floats(0, 1e6))
    def test_whatever_was_learned_the_later_is_not_the_earlier(self, errors: list[float], seconds: float) -> None:
        found = estimate(seconds, NOON, NOON, self.taught(errors))
        assert NOON <= found.p50_at <= found.p90_at


class TestLearning:
    def test_a_done_task_teaches_how_long_it_ran_and_how_wrong_its_estimate_was(self) -> None:
        made = Estimate(made_at=NOON, p50_at=NOON, p90_at=NOON, seconds=10.0)
        task = a_task_in(Phase.DONE, estimate=made)
        task = task.model_copy(
            update={"phase_seconds": {Phase.QUEUED: 9.0, Phase.GENERATING: 6.0, Phase.STORING: 1.0},
                    "finished_at": NOON + timedelta(seconds=25)}
        )  # fmt: skip
        found = learned(task, "1024", 2.0)
        assert found is not None
        assert (found.run_seconds, found.error, found.work) == (7.0, 2.5, 2.0)

    def test_a_run_of_several_attempts_says_nothing_of_the_length_of_one(self) -> None:
        found = learned(a_task_in(Phase.DONE).model_copy(update={"attempt": 2}), "1024", 1.0)
        assert found is not None
        assert found.run_seconds is None

    @pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.DONE])
    def test_what_is_not_done_teaches_nothing(self, phase: Phase) -> None:
        assert learned(a_task_in(phase), "1024", 1.0) is None


class TestStillRunning:
    def test_its_own_steps_know_best(self) -> None:
        progress = ProcessingProgress(step=1, total=4, fraction=0.25, eta_seconds=30)
        task = a_task_in(Phase.GENERATING).model_copy(update={"progress": progress})
        assert still_running(task, 5.0, NOON) == 30.0
        assert still_running(task, 5.0, NOON + timedelta(seconds=10)) == 20.0

    def test_else_what_is_usual_less_what_has_passed(self) -> None:
        task = a_task_in(Phase.GENERATING)
        assert still_running(task, 60.0, NOON + timedelta(seconds=20)) == 40.0
        assert still_running(task, 60.0, NOON + timedelta(hours=1)) == 0.0


def due(seconds: int | None) -> Task:
    return a_task(due_at=NOON + timedelta(seconds=seconds) if seconds is not None else None)


@pytest.mark.parametrize(
    ("task", "outlook"),
    [(due(None), None), (due(100), Outlook.LIKELY), (due(15), Outlook.AT_RISK), (due(5), Outlook.UNLIKELY)],
)
def test_what_becomes_of_a_deadline(task: Task, outlook: Outlook | None) -> None:
    at = {"p50_at": NOON + timedelta(seconds=10), "p90_at": NOON + timedelta(seconds=20)}
    assert task.outlook(Estimate(made_at=NOON, seconds=10, **at)) is outlook
    assert task.outlook(None) is None
