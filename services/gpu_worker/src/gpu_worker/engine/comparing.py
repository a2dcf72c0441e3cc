"""How far a replay's file is from the original, by what the two show or sound like."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import av
import numpy as np
import structlog
from contracts.catalog import OutputFormat
from contracts.media import Comparison, Medium
from PIL import Image

from gpu_worker.protocol import Original

log = structlog.get_logger(__name__)

Block = np.ndarray[Any, np.dtype[np.float32]]
"""Some of a file's pixels or samples, from 0 to 1."""
SAMPLES_AT_ONCE = 65_536

GONE = "the original is no longer in the project"
FILE_GONE = "the original's file is gone, so that how far the two are apart cannot be told"


def compare(path: Path, sha256: str, original: Original) -> Comparison:
    """By their bytes and, where these differ, decoded.

    Raises nothing: whatever has become of the original, the new file is as good as any.
    """
    if original.sha256 is None:
        return Comparison(equal=None, note=GONE)
    if original.sha256 == sha256:
        return Comparison(equal=True, max_difference=0, mean_difference=0)
    if original.path is None:
        return Comparison(equal=False, note=FILE_GONE)
    try:
        return _decoded_and_compared(Path(original.path), path)
    except Exception as error:
        log.warning("a replay cannot be compared with its original", exc_info=error)
        # Only the kind of error: its text may name paths of this machine.
        return Comparison(equal=False, note=f"the two cannot be compared ({type(error).__name__})")


@dataclass
class _Distance:
    largest: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    count: int = 0

    def add(self, then: Block, now: Block) -> None:
        difference = np.abs(then - now)
        self.largest = max(self.largest, float(difference.max(initial=0.0)))
        self.total += float(difference.sum(dtype=np.float64))
        self.squares += float(np.square(difference, dtype=np.float64).sum())
        self.count += difference.size

    def told(self) -> Comparison:
        noise = self.squares / max(1, self.count)
        return Comparison(
            equal=False,
            max_difference=min(1.0, self.largest),
            mean_difference=min(1.0, self.total / max(1, self.count)),
            psnr_db=float(-10 * np.log10(noise)) if noise else None,
        )


def _decoded_and_compared(original: Path, replayed: Path) -> Comparison:
    with _decoded(original) as (shape, blocks), _decoded(replayed) as (shape_now, blocks_now):
        if shape != shape_now:
            return Comparison(equal=False, note=f"{shape} then, {shape_now} now")
        distance = _Distance()
        # Block by block: a film would not fit into memory.
        for then, now in zip_longest(blocks, blocks_now):
            if then is None or now is None or then.shape != now.shape:
                return Comparison(equal=False, note="one is longer than the other")
            distance.add(then, now)
        return distance.told()


@contextmanager
def _decoded(path: Path) -> Iterator[tuple[str, Iterator[Block]]]:
    """The file's shape in words, and what is in it.

    Its format is the one that its name ends with: left to guess, ffmpeg would open whatever a file names.
    """
    written = OutputFormat(path.suffix.removeprefix("."))
    if written.medium is Medium.IMAGE:
        with Image.open(path, formats=[written.value.upper()]) as image:
            yield f"{image.width} x {image.height} pixels", iter([_of_pixels(np.asarray(image.convert("RGB")))])
        return
    with av.open(path, format=written.value) as container:
        if written.medium is Medium.VIDEO:
            [stream] = container.streams.video
            shape = f"{stream.frames} frames of {stream.width} x {stream.height} pixels"
            yield shape, (_of_pixels(frame.to_ndarray(format="rgb24")) for frame in container.decode(stream))
        else:
            [stream] = container.streams.audio
            yield f"{stream.duration} samples in {stream.channels} channels at {stream.rate} Hz", _samples(container)


def _of_pixels(values: np.ndarray[Any, Any]) -> Block:
    block: Block = np.divide(values, 255, dtype=np.float32)
    return block


def _samples(container: Any) -> Iterator[Block]:
    # How a file was cut into frames is its encoder's business, and may have changed.
    equal_parts = av.AudioResampler(format="flt", frame_size=SAMPLES_AT_ONCE)
    for frame in (*container.decode(audio=0), None):
        for part in equal_parts.resample(frame):
            yield (part.to_ndarray() + 1) / 2
