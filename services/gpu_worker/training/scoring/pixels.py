"""Finds flat shapes in a picture: which, of what colour, where and how large."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.drawing import COLOURS, DEFAULT_BACKGROUND, SHAPES, unit

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]

NAMES = (None, *COLOURS)
PALETTE = unit([DEFAULT_BACKGROUND, *COLOURS.values()])

FOREGROUND = 0.17
"""The least distance from the background of a shape's pixels; half of that between orange and yellow."""
SAME_COLOUR = 0.22
"""How far off a colour may be and still pass for itself."""
SMALLEST = 30
"""Pixels below which something is a speck."""
LEAST_LIKENESS = 0.7
"""The overlap with the nearest ideal shape, below which a blob is no shape."""


@dataclass(frozen=True)
class Blob:
    """Something seen; a colour or shape that is none of the known ones is told as "unclear"."""

    colour: str | None
    shape: str
    centre: tuple[float, float]
    radius: float
    """Of the circle with its area."""


def background(picture: Pixels) -> str | None:
    """The name of the colour around the picture's edge, of no name for the default one."""
    edge = np.concatenate([picture[:2].reshape(-1, 3), picture[-2:].reshape(-1, 3), *picture[:, [0, 1, -2, -1]]])
    return _name(np.median(edge, axis=0))


def blobs(picture: Pixels) -> list[Blob]:
    """What is not background in (height, width, 3) pixels from 0 to 1, from the left to the right."""
    edge = np.concatenate([picture[:2].reshape(-1, 3), picture[-2:].reshape(-1, 3), *picture[:, [0, 1, -2, -1]]])
    foreground = np.linalg.norm(picture - np.median(edge, axis=0), axis=-1) > FOREGROUND
    masks = [mask for mask in _components(foreground) if mask.sum() >= SMALLEST]
    return sorted((_blob(picture, mask) for mask in masks), key=lambda blob: blob.centre)


def _blob(picture: Pixels, mask: Mask) -> Blob:
    y, x = np.nonzero(mask)
    top, bottom, left, right = y.min(), y.max() + 1, x.min(), x.max() + 1
    return Blob(
        colour=_name(np.median(picture[mask], axis=0)),
        shape=_shape(mask[top:bottom, left:right]),
        centre=(float(left + right) / 2, float(top + bottom) / 2),
        radius=float(np.sqrt(mask.sum() / np.pi)),
    )


def _shape(box: Mask) -> str:
    """The ideal shape of the same bounding box that overlaps most, https://en.wikipedia.org/wiki/Jaccard_index."""
    height, width = box.shape
    y = ((np.arange(height) + 0.5) / height)[:, None]
    x = ((np.arange(width) + 0.5) / width)[None, :]
    ideals = {
        "circle": (x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25,
        "square": np.ones_like(box),
        "triangle": np.abs(x - 0.5) <= y / 2,
    }
    likeness = {shape: (box & ideals[shape]).sum() / (box | ideals[shape]).sum() for shape in SHAPES}
    nearest = max(likeness, key=likeness.__getitem__)
    elongated = not 0.7 < width / height < 1.45
    return "unclear" if elongated or likeness[nearest] < LEAST_LIKENESS else nearest


def _name(colour: Pixels) -> str | None:
    distances = np.linalg.norm(PALETTE - colour, axis=1)
    nearest = int(distances.argmin())
    return NAMES[nearest] if distances[nearest] < SAME_COLOUR else "unclear"


def _components(mask: Mask) -> list[Mask]:
    """The parts of a mask that hang together over edges, as masks of their own."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        around = np.pad(labels, 1)
        highest = np.max([around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:], labels], axis=0)
        # Following the labels found so far halves the way at every turn.
        spread = np.where(mask, np.append(0, highest.ravel())[highest], 0)
        if (spread == labels).all():
            return [labels == label for label in np.unique(labels) if label]
        labels = np.maximum(spread, np.where(mask, highest, 0))
