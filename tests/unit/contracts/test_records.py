from datetime import timedelta

import pytest
from contracts.errors import DependencyUnavailable, IllegalTransition, NotFound
from contracts.records import TaskRecords
from contracts.tasks import Assign, Move, Phase, RequestCancel, Resubmit, Status, Task
from contracts.testing import InMemoryState, SettableClock
from contracts.testing.examples import NOON, a_task
from contracts.topics import task_key

ASSIGN = Assign("worker-1", NOON + timedelta(seconds=15))


async def test_decides_again_when_somebody_saved_in_between() -> None:
    state, clock = InMemoryState(), SettableClock()
    records, task = TaskRecords(state, clock), a_task()
    await records.create(task)
    seen: list[Phase] = []

    def assign_unless_cancelled(current: Task) -> Move | None:
        seen.append(current.phase)
        return ASSIGN if current.status is Status.PENDING else None

    class Rival(InMemoryState):
        """Lets a cancel slip in before the first save."""

        rivals = 1

        async def replace(self, key: str, value: bytes, etag: str) -> None:
            if self.rivals:
                self.rivals -= 1
                await TaskRecords(state, clock).change(task.id, lambda current: RequestCancel())
            await state.replace(key, value, etag)

        get = state.get

    after = await TaskRecords(Rival(), clock).change(task.id, assign_unless_cancelled)
    assert seen == [Phase.QUEUED, Phase.CANCELLED]
    assert after.phase is Phase.CANCELLED


class LosesAnswers(InMemoryState):
    """A store whose answer to a write is lost, after the write or before it."""

    def __init__(self, *, after_writing: bool) -> None:
        super().__init__()
        self.after_writing = after_writing

    async def replace(self, key: str, value: bytes, etag: str) -> None:
        if self.after_writing:
            await super().replace(key, value, etag)
        raise DependencyUnavailable("no answer in time")


async def test_a_write_that_happened_without_an_answer_counts() -> None:
    records = TaskRecords(LosesAnswers(after_writing=True), SettableClock())
    await records.create(a_task())
    assert (await records.change(a_task().id, lambda task: ASSIGN)).phase is Phase.ASSIGNED


async def test_a_write_that_did_not_happen_is_said_to_have_failed() -> None:
    records = TaskRecords(LosesAnswers(after_writing=False), SettableClock())
    await records.create(a_task())
    with pytest.raises(DependencyUnavailable):
        await records.change(a_task().id, lambda task: ASSIGN)


async def test_a_refused_move_saves_nothing() -> None:
    state = InMemoryState()
    records = TaskRecords(state, SettableClock())
    await records.create(a_task())
    before = await state.get(task_key(a_task().id))
    with pytest.raises(IllegalTransition):
        await records.change(a_task().id, lambda task: Resubmit())
    assert await state.get(task_key(a_task().id)) == before


async def test_an_unknown_task_is_not_found() -> None:
    with pytest.raises(NotFound):
        await TaskRecords(InMemoryState(), SettableClock()).change(a_task().id, lambda task: None)


async def test_nothing_is_concluded_from_a_record_older_than_the_one_seen() -> None:
    records = TaskRecords(InMemoryState(), SettableClock())
    await records.create(a_task())
    with pytest.raises(DependencyUnavailable, match="as of 1, it was at 2"):
        await records.change(a_task().id, lambda task: Resubmit(), seen=2)
    assert (await records.change(a_task().id, lambda task: ASSIGN, seen=1)).seq == 2
