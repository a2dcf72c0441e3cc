"""Series whose submission dies, at each of its writes to the state store in turn.

The tables underneath are tested beside these; over a server of their own these deaths would take half an hour.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from tests.conftest import Serve, World, settle
from tests.deaths.dying import Step, as_far_as_possible
from tests.unit.submission.driving_series import Submission, serving_series


@pytest.fixture
async def submission(world: World, serve: Serve, database_url: Callable[[str], str]) -> AsyncIterator[Submission]:
    async with serving_series(world, serve, database_url("submission"), 1) as found:
        yield found


async def _end_first(submission: Submission, series_id: str) -> None:
    first = submission.instances(series_id)[0]
    if not first.phase.terminal:
        left, submission.state.writes_left = submission.state.writes_left, None
        await submission.end(first.id)
        submission.state.writes_left = left
    await settle(submission.world)


def _change(**fields: Any) -> Step[Submission]:
    async def change(submission: Submission, series_id: str) -> None:
        await submission.call("PATCH", f"/{series_id}", json=fields)
        await settle(submission.world)

    return change


async def _delete(submission: Submission, series_id: str) -> None:
    await submission.call("DELETE", f"/{series_id}")
    await settle(submission.world)


STEPS: dict[str, tuple[Sequence[Step[Submission]], int]] = {
    "end": ([_end_first], 10),
    "edit": ([_change(every_seconds=1800)], 10),
    "pause": ([_change(paused=True)], 0),
    "pause and go on": ([_change(paused=True), _change(paused=False)], 10),
    "two edits": ([_change(every_seconds=1800), _change(every_seconds=7200)], 10),
    "delete": ([_delete], 0),
}


@pytest.mark.parametrize("happens", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("name", STEPS)
async def test_nothing_is_lost_or_doubled_when_the_process_dies(
    submission: Submission, name: str, happens: bool
) -> None:
    """At each write in turn. Who was told of no success asks again; what is left to do is taken up without that."""
    steps, expected = STEPS[name]
    died, writes = True, 0
    while died:
        writes += 1
        series_id = await submission.add(from_at=None)
        submission.state.writes_left, submission.state.last_one_happens = writes, happens
        to_repeat = await as_far_as_possible(submission, series_id, steps)
        died, submission.state.writes_left = submission.state.writes_left == 0, None
        for step in to_repeat:
            await step(submission, series_id)
        await submission.tended(seconds=62)
        submission.check(series_id)
        record = await submission.record(series_id)
        assert (record.withdrawing, all(one.made for one in record.open)) == ((), True)
        assert [one.task_id for one in record.open] == [task.id for task in submission.open(series_id)]
        assert len(record.open) == expected
    assert writes >= 4
