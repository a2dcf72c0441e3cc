"""The world of the image model: one to three flat shapes on a plain background, and how people ask for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from training.drawing import COLOURS, SHAPES, Floats, is_held_out, paint, rgb, unit

Choice = TypeVar("Choice")

SIDE = 128
SIZES = (None, "small", "large")
KINDS = ("one", "several", "pair")
KIND_SHARES = (0.3, 0.2, 0.5)

RADII: dict[str, dict[str | None, float]] = {
    "one": {"small": 12, None: 22, "large": 38},
    "two": {"small": 10, None: 17, "large": 24},
    "three": {"small": 8, None: 12, "large": 16},
    "pair": {"small": 10, None: 16, "large": 23},
}
"""In pixels, by how many share the picture; without a size word a shape is of middle size."""

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
        """Where the things are, as (x, y) in pixels."""
        middle = SIDE / 2
        if self.relation:
            along = np.array(OFFSETS[self.relation])
            apart = along * 30 + along[::-1] * rng.uniform(-8, 8)
            centre = middle + rng.uniform(-4, 4, 2)
            return np.array([centre + apart, centre - apart], np.float32)
        if self.count == "one":
            reach = 8 if self.things[0].size == "large" else 14
            return (middle + rng.uniform(-reach, reach, (1, 2))).astype(np.float32)
        columns = np.array([-29, 29] if self.count == "two" else [-40, 0, 40])
        jitter = rng.uniform((-3, -12), (3, 12), (len(columns), 2)) * (1 if self.count == "two" else 0.5)
        return (np.stack([middle + columns, np.full(len(columns), middle)], 1) + jitter).astype(np.float32)


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
            np.array([scene.radii[thing.size] * rng.uniform(0.94, 1.06) for thing in things], np.float32),
            unit([rgb(thing.colour) for thing in things]),
        )
    return canvas


def scenes(rng: np.random.Generator, *, held_out: bool = False) -> Iterator[Scene]:
    """Scenes without end, of those kept from training or of the others."""
    while True:
        scene = _any_scene(rng)
        if is_held_out(scene.meaning) == held_out:
            yield scene


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
