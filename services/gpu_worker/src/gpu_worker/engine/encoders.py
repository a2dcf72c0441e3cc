"""Raw media to files, by the media's own libraries."""

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from contracts.catalog import OutputFormat

from gpu_worker.engine.generators import Clip, File, Picture, RawMedia, Sound
from gpu_worker.engine.h264 import add_h264


def encode(media: RawMedia, wanted: OutputFormat, folder: Path) -> Path:
    """Writes the file and returns where it is."""
    path = folder / f"output.{wanted.value}"
    match media:
        case Picture(image):
            image.save(path, format=wanted.value.upper(), compress_level=4)
        case Clip(frames, frame_rate):
            _encode_clip(frames, frame_rate, path)
        case Sound(samples, sample_rate):
            _encode_sound(samples, sample_rate, wanted, path)
        case File(written):
            return written
    return path


def size_and_sha256(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _encode_clip(frames: np.ndarray[Any, Any], frame_rate: float, path: Path) -> None:
    pixels = (frames * 255).round().astype(np.uint8)
    with av.open(path, "w", options={"movflags": "+faststart"}) as container:
        height, width = pixels.shape[1:3]
        stream = add_h264(container, width, height, Fraction(frame_rate).limit_denominator(1001))
        for frame in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def _encode_sound(samples: np.ndarray[Any, Any], sample_rate: int, wanted: OutputFormat, path: Path) -> None:
    codec = "flac" if wanted is OutputFormat.FLAC else "pcm_s16le"
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    whole = (samples * 32767).round().astype(np.int16)
    with av.open(path, "w", format=wanted.value) as container:
        stream = container.add_stream(codec, rate=sample_rate, layout=layout)
        # Packed samples interleave the channels in one row.
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(whole.T.reshape(1, -1)), format="s16", layout=layout)
        frame.sample_rate = sample_rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
