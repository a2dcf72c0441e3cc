"""Flat, antialiased shapes on a plain background, drawn for a whole batch at once."""

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 35, 40),
    "orange": (245, 135, 25),
    "yellow": (245, 220, 50),
    "green": (45, 165, 70),
    "blue": (40, 85, 215),
    "purple": (140, 55, 180),
    "white": (250, 250, 250),
    "black": (20, 20, 20),
}
DEFAULT_BACKGROUND = (185, 185, 190)
"""Of scenes that name no background: a light grey that no shape has."""

SHAPES = ("circle", "square", "triangle")

HELD_OUT_SHARE = 0.1


def is_held_out(meaning: str) -> bool:
    """Whether a scene is kept from training; the same on every machine, however the scene is put into words."""
    digest = hashlib.blake2b(meaning.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") < HELD_OUT_SHARE * 2**32


def rgb(colour: str | None) -> tuple[int, int, int]:
    return DEFAULT_BACKGROUND if colour is None else COLOURS[colour]


def unit(colours: ArrayLike) -> Floats:
    """Colours with values up to 255 as such from 0 to 1."""
    return np.asarray(colours, np.float32) / np.float32(255)


def paint(
    canvas: Floats,
    which: NDArray[np.intp],
    shape: NDArray[np.intp],
    centre: Floats,
    radius: Floats,
    colour: Floats,
) -> None:
    """Paints shapes over `canvas` (pictures, height, width, 3), values from 0 to 1, one after the other.

    Shape number n goes into picture `which[n]`: `shape[n]` is its place in SHAPES, `centre[n]` the (x, y) of its
    bounding box's middle and `radius[n]` that of a circle of the same visual size, in pixels.
    """
    height, width = canvas.shape[1:3]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    for n, picture in enumerate(which):
        reach = 1.5 * radius[n] + 2
        left, top = (max(0, int(middle - reach)) for middle in centre[n])
        right, bottom = (max(0, int(middle + reach) + 1) for middle in centre[n])
        part = (slice(top, bottom), slice(left, right))
        distance = _distance(int(shape[n]), x[part] - centre[n, 0], y[part] - centre[n, 1], float(radius[n]))
        covered = np.clip(0.5 - distance, 0, 1)[..., None]
        patch = canvas[picture][part]
        patch += covered * (colour[n] - patch)


def _distance(shape: int, dx: Floats, dy: Floats, radius: float) -> Floats:
    """Signed distance to the outline, negative inside; outside of corners an underestimate."""
    if shape == 0:
        from_middle: Floats = np.hypot(dx, dy)
        return from_middle - np.float32(radius)
    if shape == 1:
        return np.maximum(np.abs(dx), np.abs(dy)) - np.float32(0.9 * radius)
    inner = np.float32(0.7 * radius)
    below_middle: Floats = dy - np.float32(0.35 * radius)
    slope = np.float32(np.sqrt(3) / 2) * np.abs(dx) - below_middle / 2
    outside: Floats = np.maximum(below_middle, slope)
    return outside - inner
