"""What does not fit is done with less, and the result says with what."""

from dataclasses import dataclass, field

import pytest
import torch
from gpu_worker.engine.memory import Admission, Ladder, Rung


@dataclass
class Device:
    """Has room for a run once it has gone down so many rungs."""

    fits_after: int
    taken: list[str] = field(default_factory=list)
    tried_with: list[tuple[str, ...]] = field(default_factory=list)

    def rung(self, name: str) -> Rung:
        return Rung(name, lambda: self.taken.append(name), lambda: self.taken.remove(name))

    def run(self) -> str:
        self.tried_with.append(tuple(self.taken))
        if len(self.taken) < self.fits_after:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "picture"


def climb_down(ladder: Ladder, device: Device, kind: str = "512x512") -> tuple[str, tuple[str, ...]]:
    return ladder.run(kind, [device.rung(name) for name in ("slicing", "tiling", "offload")], device.run)


@pytest.mark.parametrize(("fits_after", "rungs"), [(0, ()), (1, ("slicing",)), (2, ("slicing", "tiling"))])
def test_goes_down_as_far_as_it_must(fits_after: int, rungs: tuple[str, ...]) -> None:
    device = Device(fits_after)
    assert climb_down(Ladder(clean_up=lambda: None), device) == ("picture", rungs)
    assert device.taken == [], "the next run may fit without"


def test_the_next_of_its_kind_begins_where_the_last_fitted() -> None:
    ladder, device = Ladder(clean_up=lambda: None), Device(fits_after=2)
    climb_down(ladder, device)
    device.tried_with.clear()
    climb_down(ladder, device)
    assert device.tried_with == [("slicing", "tiling")]
    device.tried_with.clear()
    climb_down(ladder, device, "64x64")
    assert device.tried_with[0] == ()


def test_what_fits_nowhere_fails_as_out_of_memory() -> None:
    device = Device(fits_after=4)
    with pytest.raises(torch.OutOfMemoryError):
        climb_down(Ladder(clean_up=lambda: None), device)
    assert device.taken == []


def test_another_error_is_not_tried_again() -> None:
    def refuse() -> str:
        raise ValueError("no such size")

    with pytest.raises(ValueError, match="no such size"):
        Ladder(clean_up=lambda: None).run("any", [Device(1).rung("slicing")], refuse)


@dataclass
class Memory:
    """A gauge: what is free, and what a run will have taken of it."""

    is_free: int
    run_takes: int
    evicted: int = 0

    def free(self) -> int:
        return self.is_free

    def begin(self) -> None:
        """Nothing to remember."""

    def peak(self) -> int:
        return self.run_takes

    def evict(self) -> bool:
        self.is_free += 400
        self.evicted += 1
        return self.evicted < 3


@pytest.mark.parametrize(("is_free", "evicted"), [(2000, 0), (700, 1), (300, 2), (0, 3)])
def test_room_is_made_for_what_a_run_took_the_last_time(is_free: int, evicted: int) -> None:
    memory = Memory(is_free=2000, run_takes=1000)
    admission = Admission(memory)
    with admission.run("sdxl 1024x1024", memory.evict):
        assert memory.evicted == 0, "nothing is known of its kind yet"
    memory.is_free = is_free
    with admission.run("sdxl 1024x1024", memory.evict):
        assert memory.evicted == evicted
