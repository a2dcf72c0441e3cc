"""Nearly lossless H.264, which every browser plays; by the GPU's own encoder where it has one."""

import io
from fractions import Fraction
from functools import cache
from typing import Any

import av

ENCODERS = {
    "h264_nvenc": {"rc": "constqp", "qp": "18"},
    # Weighing blocks by what later frames take from them differs from run to run, and replays compare bytes.
    "libx264": {"crf": "16", "preset": "medium", "x264-params": "mbtree=0"},
}


def add_h264(container: Any, width: int, height: int, rate: Fraction) -> Any:
    """A new video stream of the container; its encoder takes frames of `yuv420p` in their order."""
    encoder = h264_encoder()
    stream = container.add_stream(encoder, rate=rate, options=ENCODERS[encoder])
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    return stream


@cache
def h264_encoder() -> str:
    """The first that this machine really has: drivers are asked by encoding a frame."""
    for name, options in ENCODERS.items():
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
