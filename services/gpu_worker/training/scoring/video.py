"""Whether a clip shows a scene of motions.py."""

import numpy as np
from numpy.typing import NDArray

from training.motions import DIRECTIONS, Scene
from training.scoring.pixels import Blob, background, blobs

LEAST_WAY = 0.12
"""Of the picture's width: what counts as moving from one place to another."""
LEAST_GROWTH = 1.35
STILL_WAY = 0.05
STILL_GROWTH = 1.2
CLEAR_SHARE = 0.85
"""Of the frames, how many have to show the one shape and nothing else."""


def mistakes(frames: NDArray[np.float32], scene: Scene) -> list[str]:
    """What is wrong with (count, height, width, 3) pixels from 0 to 1; nothing when they show what was asked for."""
    wrong = _look_mistakes(frames, scene)
    alone = [found[0] for found in map(blobs, frames) if len(found) == 1]
    if len(alone) < CLEAR_SHARE * len(frames):
        return [*wrong, f"one shape in {len(alone)} of {len(frames)} frames only"]
    moved = motion(alone, frames.shape[2])
    return wrong if moved == scene.motion else [*wrong, f"{moved} instead of {scene.motion}"]


def motion(blobs: list[Blob], width: int) -> str:
    """The name of what a shape does from the first frame to the last."""
    (x, y), growth = _change(blobs)
    way = max(abs(x), abs(y)) / width
    if way < STILL_WAY and 1 / STILL_GROWTH < growth < STILL_GROWTH:
        return "still"
    if way < LEAST_WAY and (growth > LEAST_GROWTH or growth < 1 / LEAST_GROWTH):
        return "growing" if growth > 1 else "shrinking"
    if way > LEAST_WAY and 1 / LEAST_GROWTH < growth < LEAST_GROWTH and min(abs(x), abs(y)) < 0.4 * max(abs(x), abs(y)):
        if _steady(blobs, (x, y)):
            return max(DIRECTIONS, key=lambda name: float(np.dot(DIRECTIONS[name], (x, y))))
        return "jumping"
    return "unclear"


def _change(blobs: list[Blob]) -> tuple[tuple[float, float], float]:
    """Way and growth between the first and the last fifth of the frames' medians."""
    few = max(1, len(blobs) // 8)
    table = np.array([(*blob.centre, blob.radius) for blob in blobs])
    first, last = np.median(table[:few], axis=0), np.median(table[-few:], axis=0)
    return (float(last[0] - first[0]), float(last[1] - first[1])), float(last[2] / first[2])


def _steady(blobs: list[Blob], way: tuple[float, float]) -> bool:
    """Whether no single frame makes more than a third of the way."""
    centres = np.array([blob.centre for blob in blobs])
    return bool(np.abs(np.diff(centres @ np.array(way))).max() < np.dot(way, way) / 3)


def _look_mistakes(frames: NDArray[np.float32], scene: Scene) -> list[str]:
    """Of background, colour and shape, each taken from most of the frames."""
    wrong = []
    seen = _most([background(frame) for frame in frames])
    if seen != scene.background:
        wrong.append(f"background {seen or 'default'}")
    found = [blob for frame in frames for blob in blobs(frame)]
    colour, shape = _most([blob.colour for blob in found]), _most([blob.shape for blob in found])
    if colour != scene.colour:
        wrong.append(f"{colour or 'default'} instead of {scene.colour}")
    if shape != scene.shape:
        wrong.append(f"{shape} instead of {scene.shape}")
    return wrong


def _most(names: list[str | None]) -> str | None:
    return max(set(names), key=names.count) if names else "nothing"
