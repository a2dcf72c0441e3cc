"""A worker that has work is marked where it runs, so that idle ones are removed before it."""

from collections.abc import Awaitable, Callable

import pytest
from contracts.tasks import Phase
from gpu_worker.handlers import marking
from gpu_worker.testing import PlaceConformance, RememberingPlace

from tests.conftest import until
from tests.unit.gpu_worker.driving import Start, finish, step_by_step


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marking, "LOOK_EVERY_SECONDS", 0.001)
    monkeypatch.setattr(marking, "TRY_AGAIN_SECONDS", 0.001)


class TestRememberingPlace(PlaceConformance):
    @pytest.fixture
    def place(self) -> RememberingPlace:
        return RememberingPlace()

    @pytest.fixture
    def is_busy(self, place: RememberingPlace) -> Callable[[], Awaitable[bool]]:
        async def looks() -> bool:
            return place.busy

        return looks


async def test_it_is_marked_for_as_long_as_it_has_work(start: Start) -> None:
    place = RememberingPlace()
    place.busy = True  # Left over from a process that died in this pod.
    async with start(step_by_step, place=place) as worker:
        await until(lambda: place.said == [False])
        await worker.hear_itself()
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        await until(lambda: place.said == [False, True])
        finish.set()
        await worker.reaches(task, Phase.STORING)
        await until(lambda: place.said == [False, True, False])


async def test_a_mark_that_could_not_be_made_is_made_later_and_holds_up_nothing(start: Start) -> None:
    place = RememberingPlace()
    place.away = True
    async with start(step_by_step, place=place) as worker:
        await worker.hear_itself()
        task = await worker.assign()
        await worker.reaches(task, Phase.GENERATING)
        assert place.said == []
        place.away = False
        await until(lambda: place.busy)
        finish.set()
        await worker.reaches(task, Phase.STORING)
        await until(lambda: not place.busy)
