"""The world of the video model: a flat shape that moves, grows, shrinks or stands still."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from training.drawing import COLOURS, SHAPES, Floats, is_held_out, paint, rgb, unit

Choice = TypeVar("Choice")

WIDTH, HEIGHT, FRAMES, FRAME_RATE = 128, 96, 17, 8

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

    def path(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """The shape's middles (FRAMES, 2) and radii (FRAMES,) in pixels, both along straight lines in time."""
        size = np.array([WIDTH, HEIGHT])
        time = np.linspace(0, 1, FRAMES)[:, None]
        if self.motion in DIRECTIONS:
            along = np.array(DIRECTIONS[self.motion])
            radius = rng.uniform(11, 18)
            reach = size @ np.abs(along) / 2 - 1.25 * radius - 3
            start = rng.uniform(-reach, -0.05 * reach)
            end = rng.uniform(start + 1.05 * reach, reach)
            aside = rng.uniform(-1, 1) * (size @ np.abs(along[::-1]) / 2 - 1.25 * radius - 8) * 0.5
            centre = size / 2 + along * (start + (end - start) * time) + np.abs(along[::-1]) * aside
            return centre.astype(np.float32), np.full(FRAMES, radius, np.float32)
        centre = size / 2 + rng.uniform(-1, 1, 2) * (14, 6)
        centres = np.tile(centre.astype(np.float32), (FRAMES, 1))
        if self.motion == "still":
            return centres, np.full(FRAMES, rng.uniform(12, 25), np.float32)
        small = rng.uniform(7, 14)
        large = rng.uniform(small + 11, 30)
        radii = small + (large - small) * time[:, 0]
        return centres, (radii if self.motion == "growing" else radii[::-1]).astype(np.float32)


def render(scenes: list[Scene], rng: np.random.Generator) -> Floats:
    """Draws the scenes as (clips, FRAMES, HEIGHT, WIDTH, 3), values from 0 to 1."""
    clips = np.empty((len(scenes), FRAMES, HEIGHT, WIDTH, 3), np.float32)
    for clip, scene in zip(clips, scenes, strict=True):
        _draw(clip, scene, *scene.path(rng))
    return clips


def render_pieces(scenes: list[Scene], rng: np.random.Generator, frames: int, side: int) -> Floats:
    """Draws a piece of each scene, at or near its shape, as (clips, frames, side, side, 3), values from 0 to 1."""
    clips = np.empty((len(scenes), frames, side, side, 3), np.float32)
    for clip, scene in zip(clips, scenes, strict=True):
        centres, radii = scene.path(rng)
        start = int(rng.integers(FRAMES - frames + 1))
        times = slice(start, start + frames)
        near = rng.choice(centres[times]) + radii[start] * rng.uniform(-1.5, 1.5, 2)
        corner = np.clip(near - side / 2, 0, (WIDTH - side, HEIGHT - side)).round().astype(np.float32)
        _draw(clip, scene, centres[times] - corner, radii[times])
    return clips


def _draw(clip: Floats, scene: Scene, centres: Floats, radii: Floats) -> None:
    clip[:] = unit(rgb(scene.background))
    colours = np.tile(unit(rgb(scene.colour)), (len(clip), 1))
    shapes = np.full(len(clip), SHAPES.index(scene.shape))
    paint(clip, np.arange(len(clip)), shapes, centres, radii, colours)


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


def _one_of(rng: np.random.Generator, choices: Sequence[Choice]) -> Choice:
    return choices[int(rng.integers(len(choices)))]
