"""The world of the image model: one to three flat shapes on a plain background, and how people ask for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from training.drawing import COLOURS, SHAPES, Floats, is_held_out, paint, rgb, unit

Choice = TypeVar("Choice")

SIDE = 128
LATTICE = 16
"""Of places, in pixels."""
SIZES = (None, "small", "large")
KINDS = ("one", "several", "pair")
KIND_SHARES = (0.3, 0.2, 0.5)

RADII: dict[str, dict[str | None, float]] = {
    "one": {"small": 13, None: 24, "large": 40},
    "two": {"small": 12, None: 18, "large": 25},
    "three": {"small": 8, None: 12, "large": 14},
    "pair": {"small": 12, None: 18, "large": 25},
}
"""In pixels, by how many share the picture; without a size word a shape is of middle size."""

THINGS = (slice(3, 6), slice(6, 9))
"""Which of a scene's facts are of the first thing, and of the second."""
OFFSETS = {"above": (0, -1), "below": (0, 1), "left of": (-1, 0), "right of": (1, 0)}
RELATION_WORDS = {
    "above": ("above", "over"),
    "below": ("below", "under"),
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
}
SIZE_WORDS = {"small": ("small", "little"), "large": ("large", "big")}
COUNT_WORDS = {"two": ("two", "2"), "three": ("three", "3")}
OPENINGS = ("a picture of ", "an image of ", "draw ", "there is ")


@dataclass(frozen=True)
class Thing:
    colour: str
    shape: str
    size: str | None = None

    def __str__(self) -> str:
        return " ".join(word for word in (self.size, self.colour, self.shape) if word)


@dataclass(frozen=True)
class Scene:
    """One thing, `count` of the same, or a thing in a `relation` to another."""

    things: tuple[Thing, ...]
    count: str = "one"
    relation: str | None = None
    background: str | None = None

    @property
    def kind(self) -> str:
        if self.relation:
            return "pair"
        return "one" if self.count == "one" else "several"

    @property
    def meaning(self) -> str:
        return f"{self.count} {f' {self.relation} '.join(map(str, self.things))} on {self.background}"

    @property
    def facts(self) -> tuple[str, ...]:
        first, last = self.things[0], self.things[-1]
        of_last = (last.colour, last.shape, str(last.size)) if self.relation else ("", "", "")
        of_all = (self.count, str(self.relation), str(self.background))
        return (*of_all, first.colour, first.shape, str(first.size), *of_last)

    @property
    def radii(self) -> dict[str | None, float]:
        return RADII["pair" if self.relation else self.count]

    @property
    def smallest(self) -> float:
        """The radius of its smallest thing, in pixels."""
        return min(self.radii[thing.size] for thing in self.things)

    def prompt(self, rng: np.random.Generator) -> str:
        if self.relation:
            relation = _one_of(rng, RELATION_WORDS[self.relation])
            text = f"{_singular(rng, self.things[0])} {relation} {_singular(rng, self.things[1])}"
        elif self.count == "one":
            text = _singular(rng, self.things[0])
        else:
            text = f"{_one_of(rng, COUNT_WORDS[self.count])} {_words(rng, self.things[0])}s"
        if self.background:
            ways = ("on a {} background", "on a {} background", "on {}", "with a {} background")
            text = f"{text} {_one_of(rng, ways).format(self.background)}"
        return text if rng.random() < 0.9 else _one_of(rng, OPENINGS) + text

    def place(self, rng: np.random.Generator) -> Floats:
        """Where the things are, as (x, y) in pixels: on a lattice, so that a shape is cut up alike wherever it is."""
        return (SIDE / 2 + self._offsets(rng)).astype(np.float32)

    def _offsets(self, rng: np.random.Generator) -> NDArray[np.integer[Any]]:
        if self.relation:
            along = np.array(OFFSETS[self.relation])
            centre = along[::-1] * _shift(rng)
            return np.array([centre + 32 * along, centre - 32 * along])
        if self.count == "one":
            return np.array([(_shift(rng), _shift(rng))])
        if self.count == "two":
            return np.array([(-32, _shift(rng)), (32, _shift(rng))])
        shift = _shift(rng)
        return np.array([(-40, shift), (0, shift), (40, shift)])


def _shift(rng: np.random.Generator) -> int:
    return LATTICE * int(rng.integers(-1, 2))


def render(scenes: list[Scene], rng: np.random.Generator) -> Floats:
    """Draws the scenes as (pictures, SIDE, SIDE, 3), values from 0 to 1."""
    canvas = np.empty((len(scenes), SIDE, SIDE, 3), np.float32)
    for picture, scene in zip(canvas, scenes, strict=True):
        picture[:] = unit(rgb(scene.background))
        centres = scene.place(rng)
        things = scene.things * (len(centres) // len(scene.things))
        paint(
            picture[None],
            np.zeros(len(things), np.intp),
            np.array([SHAPES.index(thing.shape) for thing in things]),
            centres,
            np.array([scene.radii[thing.size] for thing in things], np.float32),
            unit([rgb(thing.colour) for thing in things]),
        )
    return canvas


def scenes(rng: np.random.Generator, *, held_out: bool = False) -> Iterator[Scene]:
    """Scenes without end, of those kept from training or of the others."""
    while True:
        scene = _any_scene(rng)
        if is_held_out(scene.meaning) == held_out:
            yield scene


def another_thing(thing: Thing, background: str | None, rng: np.random.Generator) -> Thing:
    """One of another shape, colour or size, or of several of them."""
    colours = [colour for colour in COLOURS if colour != background]
    while True:
        other = Thing(
            _one_of(rng, (thing.colour, _one_of(rng, colours))),
            _one_of(rng, SHAPES),
            _one_of(rng, (thing.size, *SIZES)),
        )
        if other != thing:
            return other


def scene_of_kind(rng: np.random.Generator, kind: str, background: str | None) -> Scene:
    colours = [colour for colour in COLOURS if colour != background]
    things = [
        Thing(_one_of(rng, colours), _one_of(rng, SHAPES), _one_of(rng, SIZES)) for _ in range(1 + (kind == "pair"))
    ]
    return Scene(
        tuple(things),
        count="one" if kind != "several" else _one_of(rng, ("two", "three")),
        relation=_one_of(rng, tuple(OFFSETS)) if kind == "pair" else None,
        background=background,
    )


def _any_scene(rng: np.random.Generator) -> Scene:
    background = None if rng.random() < 0.5 else _one_of(rng, tuple(COLOURS))
    return scene_of_kind(rng, str(rng.choice(KINDS, p=KIND_SHARES)), background)


def _words(rng: np.random.Generator, thing: Thing) -> str:
    size = [_one_of(rng, SIZE_WORDS[thing.size])] if thing.size else []
    return " ".join([*size, thing.colour, thing.shape])


def _singular(rng: np.random.Generator, thing: Thing) -> str:
    words = _words(rng, thing)
    article = "an" if words[0] in "aeiou" else "a"
    return words if rng.random() < 0.1 else f"{article} {words}"


def _one_of(rng: np.random.Generator, choices: Sequence[Choice]) -> Choice:
    return choices[int(rng.integers(len(choices)))]
