"""Contact sheets: what was drawn, with the prompts under it."""

import textwrap
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

GAP = 6
LINE = 11


def contact_sheet(
    tiles: Sequence[NDArray[np.float32]], captions: Sequence[str], columns: int, colours: int = 128
) -> Image.Image:
    """Tiles of one size, (height, width, 3) from 0 to 1, row by row; few colours keep the file small."""
    height, width = tiles[0].shape[:2]
    lines = [textwrap.wrap(caption, width // 6) for caption in captions]
    under = LINE * max(map(len, lines)) + GAP
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + under + GAP) + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for n, (tile, words) in enumerate(zip(tiles, lines, strict=True)):
        left, top = GAP + n % columns * (width + GAP), GAP + n // columns * (height + under + GAP)
        sheet.paste(Image.fromarray(np.uint8(np.clip(tile, 0, 1) * 255 + 0.5)), (left, top))
        for number, line in enumerate(words):
            pen.text((left, top + height + 1 + number * LINE), line, fill="black")
    return sheet.quantize(colours, dither=Image.Dither.NONE)


def strip(frames: NDArray[np.float32], count: int = 5) -> NDArray[np.float32]:
    """Frames (count, height, width, 3) evenly spread over the clip, side by side."""
    chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
    return np.concatenate(list(frames[chosen]), axis=1)
