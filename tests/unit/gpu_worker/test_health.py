"""What a worker's state is judged by."""

from datetime import timedelta

import pytest
from contracts.testing.examples import NOON
from contracts.workers import WorkerState
from gpu_worker.domain.health import Condition, DeviceFaults, worker_state

WELL = Condition(
    engine_ready=True,
    was_ready=True,
    setup_failure=None,
    quarantine=None,
    draining=False,
    heard_itself=True,
    busy=False,
)


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({}, WorkerState.READY, None),
        ({"busy": True}, WorkerState.BUSY, None),
        ({"heard_itself": False}, WorkerState.STARTING, None),
        ({"engine_ready": False}, WorkerState.UNHEALTHY, None),
        ({"engine_ready": False, "was_ready": False}, WorkerState.STARTING, None),
        ({"engine_ready": False, "setup_failure": "no GPU"}, WorkerState.SETUP_FAILED, "no GPU"),
        ({"quarantine": "three faults"}, WorkerState.DEFUNCT, "three faults"),
        ({"draining": True, "quarantine": "three faults"}, WorkerState.DRAINING, None),
    ],
)
def test_the_state_and_its_reason(changes: dict[str, object], state: WorkerState, reason: str | None) -> None:
    assert worker_state(Condition(**{**vars(WELL), **changes})) == (state, reason)


def test_a_success_forgives_what_went_wrong_before() -> None:
    faults = DeviceFaults()
    faults.happened("a", NOON, "fault")
    faults.happened("b", NOON, "fault")
    faults.did_right()
    faults.happened("c", NOON, "fault")
    assert faults.quarantine(NOON) is None


def test_after_its_rest_one_more_fault_is_enough() -> None:
    faults = DeviceFaults(rest=timedelta(minutes=10))
    for name in ("a", "b", "c"):
        faults.happened(name, NOON, "fault")
    assert faults.quarantine(NOON + timedelta(minutes=9)) is not None
    later = NOON + timedelta(minutes=11)
    assert faults.quarantine(later) is None
    faults.happened("d", later, "another")
    assert "another" in (faults.quarantine(later) or "")
