"""What a run is like, which its seed says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from contracts.media import Medium


@dataclass(frozen=True)
class Kind:
    troubled_seconds: Sequence[float]
    """For how long things fail."""
    wishes: range
    """How many tasks somebody wants."""
    media: Sequence[Sequence[Medium]]
    most_projects: int
    aftermath_seconds: float = 20 * 60.0
    """What somebody still does who should not, they do by then."""
    crowded: bool = False
    """Whether it is about fair turns: many tasks that are all alike, and nothing that fails."""


LONG = Kind(
    troubled_seconds=(60.0, 150.0, 300.0),
    wishes=range(3, 9),
    media=([Medium.IMAGE], [Medium.IMAGE], [Medium.IMAGE, Medium.VIDEO], list(Medium)),
    most_projects=3,
)
BRIEF = Kind(
    troubled_seconds=(20.0, 40.0),
    wishes=range(1, 4),
    media=([Medium.IMAGE],),
    most_projects=2,
    aftermath_seconds=5 * 60.0,
)
"""As much trouble in a fraction of the time, over a task or a few."""
CROWDED = replace(LONG, crowded=True)


def kind_of(seed: int) -> Kind:
    """Every second thousand is brief: much of what can go wrong shows with a task or two, and of such runs many fit
    into the time of a long one."""
    if seed // 1000 % 2:
        return BRIEF
    return CROWDED if seed % 15 == 7 else LONG
