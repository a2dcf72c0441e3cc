"""What a worker's state is judged by, and a worker that lives through it."""

from datetime import timedelta

import pytest
from contracts.identifiers import task_id_for
from contracts.tasks import Assign, Phase
from contracts.testing.examples import NOON
from contracts.workers import WorkerState
from gpu_worker.domain.health import Condition, DeviceFaults, worker_state
from gpu_worker.testing import until_killed

from tests.conftest import until
from tests.unit.gpu_worker.driving import WORKER, Start

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
        ({"drained_by": "ada", "busy": True}, WorkerState.DRAINING, "ada wants it to take no more work"),
        ({"drained_by": "ada", "draining": True}, WorkerState.DRAINING, None),
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


async def test_an_engine_that_does_not_come_up_says_why(start: Start) -> None:
    async with start() as worker:
        worker.engine.ready, worker.engine.setup_failure = False, "no device was found"
        await until(lambda: bool(worker.heartbeats) and worker.heartbeats[-1].state is WorkerState.SETUP_FAILED)
        assert worker.heartbeats[-1].reason == "no device was found"
        worker.engine.ready, worker.engine.setup_failure = True, None
        await worker.hear_itself()
        await until(lambda: worker.heartbeats[-1].state is WorkerState.READY)


async def test_a_device_that_fails_task_after_task_is_left_alone_and_tried_again(start: Start) -> None:
    async with start(until_killed, worker_quarantine=timedelta(minutes=10)) as worker:
        await until(lambda: bool(worker.heartbeats))
        await worker.hear_itself()
        for name in ("a", "b", "c"):
            task = await worker.assign(id=task_id_for("p1", name))
            await worker.reaches(task, Phase.GENERATING)
            worker.engine.replace()
            await worker.reaches(task, Phase.RETRY_WAIT)
        await until(lambda: worker.heartbeats[-1].state is WorkerState.DEFUNCT)
        assert "3 runs in a row failed" in (worker.heartbeats[-1].reason or "")
        await worker.is_idle()
        worker.world.clock.advance(minutes=11)
        await until(lambda: worker.heartbeats[-1].state is WorkerState.READY)


async def test_a_task_that_brings_every_engine_down_is_not_the_devices_fault(start: Start) -> None:
    async with start(until_killed) as worker:
        await until(lambda: bool(worker.heartbeats))
        await worker.hear_itself()
        task = await worker.assign(max_failures=9)
        for attempt in (1, 2, 3, 4):
            await worker.reaches(task, Phase.GENERATING)
            worker.engine.replace()
            await worker.reaches(task, Phase.RETRY_WAIT)
            again = await worker.tasks.change(task.id, lambda _found: Assign(WORKER, NOON + timedelta(seconds=15)))
            assert again.attempt == attempt + 1
            await worker.deliver_assignment(again)
        assert WorkerState.DEFUNCT not in {heartbeat.state for heartbeat in worker.heartbeats}
