"""Raw media to files, by the media's own libraries."""

import hashlib
import io
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from contracts.catalog import OutputFormat

from gpu_worker.engine.generators import Clip, Picture, RawMedia, Sound

# Nearly lossless, and what every browser plays; by the GPU's own encoder where it has one.
H264_ENCODERS = {"h264_nvenc": {"rc": "constqp", "qp": "18"}, "libx264": {"crf": "16", "preset": "medium"}}


@cache
def h264_encoder() -> str:
    """The first that this machine really has: drivers are asked by encoding a frame."""
    for name, options in H264_ENCODERS.items():
        try:
            with av.open(io.BytesIO(), "w", format="mp4") as container:
                stream = container.add_stream(name, rate=1, options=options)
                stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
                container.mux(stream.encode(av.VideoFrame(256, 256, "yuv420p")))
                container.mux(stream.encode(None))
        except (av.FFmpegError, ValueError):
            continue
        return name
    raise RuntimeError("this build of PyAV encodes no H.264")


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
    return path


def size_and_sha256(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _encode_clip(frames: np.ndarray[Any, Any], frame_rate: float, path: Path) -> None:
    pixels = (frames * 255).round().astype(np.uint8)
    with av.open(path, "w", options={"movflags": "+faststart"}) as container:
        encoder = h264_encoder()
        rate = Fraction(frame_rate).limit_denominator(1001)
        stream = container.add_stream(encoder, rate=rate, options=H264_ENCODERS[encoder])
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = "yuv420p"
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
