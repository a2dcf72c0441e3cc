"""What does not fit is done with less, and the result says with what."""

from dataclasses import dataclass, field

import pytest
import torch
from gpu_worker.engine.memory import Ladder, Rung


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
