"""What of a task's device time came to nothing."""

from typing import Any

import pytest
from contracts.tasks import Phase, Task, Waste, gpu_seconds, wasted_seconds
from contracts.testing.examples import a_task_in
from hypothesis import given
from hypothesis import strategies as st


def used(phase: Phase, loading: float = 0, generating: float = 0, encoding: float = 0, **changes: Any) -> Task:
    seconds = {Phase.LOADING_MODEL: loading, Phase.GENERATING: generating, Phase.ENCODING: encoding, Phase.QUEUED: 99.0}
    return a_task_in(phase).model_copy(update={"phase_seconds": seconds, **changes})


def done(generating: float, last: float, **changes: Any) -> Task:
    task = used(Phase.DONE, generating=generating, **changes)
    assert task.produced is not None
    made = task.produced.provenance.model_copy(update={"generate_seconds": last})
    return task.model_copy(update={"produced": task.produced.model_copy(update={"provenance": made})})


@pytest.mark.parametrize(
    ("phase", "cause"),
    [(Phase.FAILED, Waste.FAILED), (Phase.CANCELLED, Waste.CANCELLED), (Phase.EXPIRED, Waste.EXPIRED)],
)
def test_what_ends_in_vain_has_wasted_all_of_it(phase: Phase, cause: Waste) -> None:
    assert wasted_seconds(used(phase, loading=1, generating=5, encoding=2)) == {cause: 8.0}
    assert wasted_seconds(used(phase)) == {}


def test_what_is_done_has_wasted_loading_and_the_attempts_before() -> None:
    assert wasted_seconds(used(Phase.DONE, loading=20, generating=5)) == {Waste.COLD_START: 20.0}
    assert wasted_seconds(done(generating=15, last=5, attempt=2)) == {Waste.RETRIED: 10.0}
    assert wasted_seconds(done(generating=5, last=5, attempt=2)) == {}


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.terminal])
def test_of_what_has_not_ended_nothing_is_known(phase: Phase) -> None:
    assert wasted_seconds(used(phase, loading=1, generating=5)) == {}


@given(*(st.floats(0, 1e6) for _ in range(5)), st.sampled_from(Phase), st.integers(1, 5))
def test_no_more_is_wasted_than_was_used(
    loading: float, generating: float, last: float, encoding: float, shared: float, phase: Phase, attempt: int
) -> None:
    task = used(phase, loading, generating, encoding, attempt=attempt, shared_seconds=min(shared, loading + generating))
    if phase is Phase.DONE:
        made = task.produced.provenance.model_copy(update={"generate_seconds": last})  # type: ignore[union-attr]
        task = task.model_copy(update={"produced": task.produced.model_copy(update={"provenance": made})})  # type: ignore[union-attr]
    assert sum(wasted_seconds(task).values()) <= max(0.0, gpu_seconds(task)) * (1 + 1e-9)
