"""A place that remembers, and the suite that it and Kubernetes' pods both pass."""

from collections.abc import Awaitable, Callable

from contracts.errors import DependencyUnavailable

from gpu_worker.ports import Place


class RememberingPlace:
    def __init__(self) -> None:
        self.busy = False
        self.said: list[bool] = []
        self.away = False

    async def mark(self, *, busy: bool) -> None:
        if self.away:
            raise DependencyUnavailable("Kubernetes does not answer")
        self.said.append(busy)
        self.busy = busy


class PlaceConformance:
    """A test module subclasses it and provides `place`, and `is_busy`, which says what others see there."""

    async def test_marks_come_and_go(self, place: Place, is_busy: Callable[[], Awaitable[bool]]) -> None:
        assert not await is_busy()
        for busy in (True, True, False, False, True):
            await place.mark(busy=busy)
            assert await is_busy() is busy
