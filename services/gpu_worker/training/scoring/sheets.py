"""Contact sheets: what was made, with the prompts under it."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

GAP = 6
LINE = 11
COLOURS = 128
"""A palette tells them as well as all colours do, and takes a third of the bytes."""


class Shown(NamedTuple):
    tile: NDArray[np.float32]
    """(height, width, 3) from 0 to 1."""
    prompt: str
    wrong: Sequence[str]

    @property
    def caption(self) -> str:
        return f"{self.prompt} [{', '.join(self.wrong)}]" if self.wrong else self.prompt


def contact_sheet(shown: Sequence[Shown], columns: int) -> Image.Image:
    """Tiles of one size, row by row; what is wrong is said under them in red."""
    height, width = shown[0].tile.shape[:2]
    captions = [textwrap.wrap(one.caption, width // 6) for one in shown]
    under = LINE * max(map(len, captions)) + GAP
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + under + GAP) + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for n, (one, lines) in enumerate(zip(shown, captions, strict=True)):
        left, top = GAP + n % columns * (width + GAP), GAP + n // columns * (height + under + GAP)
        sheet.paste(Image.fromarray(np.uint8(np.clip(one.tile, 0, 1) * 255 + 0.5)), (left, top))
        for number, line in enumerate(lines):
            pen.text((left, top + height + 1 + number * LINE), line, fill="red" if one.wrong else "black")
    return sheet.quantize(COLOURS, dither=Image.Dither.NONE)


def strip(frames: NDArray[np.float32], count: int = 5) -> NDArray[np.float32]:
    """Frames (count, height, width, 3) evenly spread over the clip, side by side."""
    chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
    return np.concatenate(list(frames[chosen]), axis=1)
