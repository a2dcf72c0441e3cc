"""The world of the video model: a flat shape that moves, grows, shrinks or stands still."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from training.drawing import COLOURS, SHAPES, Floats, is_held_out, paint, rgb, unit

Choice = TypeVar("Choice")

WIDTH, HEIGHT, FRAMES, FRAME_RATE = 96, 96, 17, 8
LATTICE = 12
"""Of places, in pixels."""
WAY = 36
"""Of a moving shape, in pixels."""

MOTIONS: dict[str, tuple[str, ...]] = {
    "right": ("moving right", "moving right", "moving to the right", "moves right", "moves to the right"),
    "left": ("moving left", "moving left", "moving to the left", "moves left", "moves to the left"),
    "up": ("moving up", "moving up", "moving upwards", "moves up", "rising"),
    "down": ("moving down", "moving down", "moving downwards", "moves down", "falling"),
    "growing": ("growing", "growing", "grows", "getting bigger", "getting larger"),
    "shrinking": ("shrinking", "shrinking", "shrinks", "getting smaller"),
    "still": ("standing still", "standing still", "stands still", "not moving", ""),
}
DIRECTIONS = {"right": (1, 0), "left": (-1, 0), "up": (0, -1), "down": (0, 1)}
OPENINGS = ("a video of ", "a clip of ", "an animation of ", "show ")


class Path(NamedTuple):
    """Of a shape, along straight lines in time."""

    centres: Floats
    """(frames, 2) in pixels."""
    radii: Floats
    """(frames,) in pixels."""

    def at(self, frame: int) -> "Path":
        return Path(self.centres[frame : frame + 1], self.radii[frame : frame + 1])


@dataclass(frozen=True)
class Scene:
    colour: str
    shape: str
    motion: str
    background: str | None = None

    @property
    def kind(self) -> str:
        return self.motion

    @property
    def meaning(self) -> str:
        return f"{self.colour} {self.shape} {self.motion} on {self.background}"

    @property
    def facts(self) -> tuple[str, ...]:
        return (self.colour, self.shape, self.motion, str(self.background))

    def prompt(self, rng: np.random.Generator) -> str:
        thing = f"{self.colour} {self.shape}"
        if rng.random() < 0.9:
            thing = f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"
        text = f"{thing} {_one_of(rng, MOTIONS[self.motion])}".strip()
        if self.background:
            ways = ("on a {} background", "on a {} background", "on {}", "with a {} background")
            text = f"{text} {_one_of(rng, ways).format(self.background)}"
        return text if rng.random() < 0.9 else _one_of(rng, OPENINGS) + text

    def path(self, rng: np.random.Generator) -> Path:
        middle = np.array([WIDTH, HEIGHT]) / 2
        time = np.linspace(0, 1, FRAMES)[:, None]
        if self.motion in DIRECTIONS:
            along = np.array(DIRECTIONS[self.motion])
            start = LATTICE * rng.integers(-2, 0) * along + LATTICE * rng.integers(-1, 2) * np.abs(along[::-1])
            return Path((middle + start + WAY * along * time).astype(np.float32), np.full(FRAMES, 13, np.float32))
        centre = middle + LATTICE * rng.integers(-1, 2, 2)
        centres = np.tile(centre.astype(np.float32), (FRAMES, 1))
        if self.motion == "still":
            return Path(centres, np.full(FRAMES, rng.choice((10, 14, 18)), np.float32))
        radii = np.linspace(8, 20, FRAMES, dtype=np.float32)
        return Path(centres, radii if self.motion == "growing" else radii[::-1])


def render(scenes: Sequence[Scene], rng: np.random.Generator) -> Floats:
    """Draws the scenes as (clips, FRAMES, HEIGHT, WIDTH, 3), values from 0 to 1."""
    return draw(scenes, [scene.path(rng) for scene in scenes])


def draw(scenes: Sequence[Scene], paths: Sequence[Path]) -> Floats:
    """The scenes with their shapes on these paths, all of which have as many frames."""
    clips = np.empty((len(scenes), len(paths[0].radii), HEIGHT, WIDTH, 3), np.float32)
    for clip, scene, path in zip(clips, scenes, paths, strict=True):
        clip[:] = unit(rgb(scene.background))
        colours = np.tile(unit(rgb(scene.colour)), (len(clip), 1))
        shapes = np.full(len(clip), SHAPES.index(scene.shape))
        paint(clip, np.arange(len(clip)), shapes, path.centres, path.radii, colours)
    return clips


def scenes(rng: np.random.Generator, *, held_out: bool = False) -> Iterator[Scene]:
    """Scenes without end, of those kept from training or of the others."""
    while True:
        background = None if rng.random() < 0.5 else _one_of(rng, tuple(COLOURS))
        scene = scene_of_kind(rng, _one_of(rng, tuple(MOTIONS)), background)
        if is_held_out(scene.meaning) == held_out:
            yield scene


def scene_of_kind(rng: np.random.Generator, kind: str, background: str | None) -> Scene:
    colours = [colour for colour in COLOURS if colour != background]
    return Scene(_one_of(rng, colours), _one_of(rng, SHAPES), kind, background)


def another_shape(scene: Scene, rng: np.random.Generator) -> Scene:
    """A shape that moves alike on the same background: of another kind, of another colour, or both or neither."""
    colours = [colour for colour in COLOURS if colour != scene.background]
    return replace(scene, colour=_one_of(rng, (scene.colour, _one_of(rng, colours))), shape=_one_of(rng, SHAPES))


def _one_of(rng: np.random.Generator, choices: Sequence[Choice]) -> Choice:
    return choices[int(rng.integers(len(choices)))]
