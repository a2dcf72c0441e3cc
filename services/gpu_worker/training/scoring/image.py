"""Whether a picture shows a scene of shapes.py."""

from itertools import pairwise

from training.scoring.pixels import Blob, Pixels, background, blobs
from training.shapes import OFFSETS, SIZES, Scene, Thing

NUMBER = {"one": 1, "two": 2, "three": 3}
AREA_RADIUS = {"square": 1.02, "triangle": 0.9}
"""The radius of a circle of a shape's area, for one that is said to be of radius 1."""


def mistakes(picture: Pixels, scene: Scene) -> list[str]:
    """What is wrong with (height, width, 3) pixels from 0 to 1; nothing when they show what was asked for."""
    wrong = []
    seen = background(picture)
    if seen != scene.background:
        wrong.append(f"background {seen or 'default'}")
    found = blobs(picture)
    if scene.relation:
        return wrong + _pair_mistakes(found, scene)
    if len(found) != NUMBER[scene.count]:
        return [*wrong, f"{len(found)} shapes"]
    return wrong + [mistake for blob in found for mistake in _thing_mistakes(blob, scene.things[0], scene)]


def _pair_mistakes(found: list[Blob], scene: Scene) -> list[str]:
    if len(found) != 2:
        return [f"{len(found)} shapes"]
    right = OFFSETS[scene.relation or ""]
    first, second = sorted(found, key=lambda blob: -(blob.centre[0] * right[0] + blob.centre[1] * right[1]))
    apart = (first.centre[0] - second.centre[0], first.centre[1] - second.centre[1])
    along = apart[0] * right[0] + apart[1] * right[1]
    across = abs(apart[0] * right[1]) + abs(apart[1] * right[0])
    placing = [] if along > max(across, first.radius, second.radius) else [f"not {scene.relation}"]
    things = zip((first, second), scene.things, strict=True)
    return placing + [mistake for blob, thing in things for mistake in _thing_mistakes(blob, thing, scene)]


def _thing_mistakes(blob: Blob, thing: Thing, scene: Scene) -> list[str]:
    wrong = []
    if blob.colour != thing.colour:
        wrong.append(f"{blob.colour or 'default'} instead of {thing.colour}")
    if blob.shape != thing.shape:
        wrong.append(f"{blob.shape} instead of {thing.shape}")
    size = _size(blob.radius / AREA_RADIUS.get(blob.shape, 1), scene)
    if size != thing.size:
        wrong.append(f"{size or 'middle'} size instead of {thing.size or 'middle'}")
    return wrong


def _size(radius: float, scene: Scene) -> str | None:
    """The word for a radius, the sizes meeting half way between what is usual in such a scene."""
    small, middle, large = (scene.radii[size] for size in ("small", None, "large"))
    bounds = [sum(pair) / 2 for pair in pairwise((small, middle, large))]
    if radius < bounds[0]:
        return "small"
    return SIZES[0] if radius < bounds[1] else "large"
