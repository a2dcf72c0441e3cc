"""Looking into media files with Pillow and PyAV, which wraps ffmpeg's libraries.

Files are hostile until proven otherwise. What a file is gets decided by its first bytes, and only
the one reader for that type is then tried: left to guess, ffmpeg would also take a playlist for a
video and open whatever it names.
"""

import asyncio
import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import av
import filetype
import numpy as np
from contracts.errors import UnsupportedMedia
from contracts.media import MOST_PIXELS, Medium, not_taken
from PIL import Image, ImageDraw

from storage.domain import Probe, canonical, medium_of

THUMBNAIL = (320, 320)
WAVEFORM = (320, 120)
LONGEST_SECONDS = 60 * 60
LONGEST_LOOK = 60
"""Seconds of a processor. An hour of sound takes ten; but a file can be made of a million frames, or a picture of a
million passes over all its pixels."""
AT_ONCE = 2
"""One file may need half a gigabyte while it is unpacked."""
HEAD = 262
LISTEN_RATE = 8000
LISTEN_BLOCK = 8
"""Samples of which only the loudest is kept: a millisecond."""

READERS: Mapping[str, str] = MappingProxyType(
    {
        "image/png": "PNG",
        "image/jpeg": "JPEG",
        "image/webp": "WEBP",
        "video/mp4": "mp4",
        "video/webm": "webm",
        "audio/wav": "wav",
        "audio/flac": "flac",
        "audio/mpeg": "mp3",
        "audio/ogg": "ogg",
    }
)

UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, IndexError, av.FFmpegError, Image.DecompressionBombError)

Result = TypeVar("Result")


class PillowAndPyAV:
    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    async def probe(self, path: Path) -> Probe:
        async with self._places:
            return await asyncio.to_thread(_readable, lambda: _probe(path))

    async def thumbnail(self, path: Path, probe: Probe) -> bytes:
        async with self._places:
            return await asyncio.to_thread(_readable, lambda: _thumbnail(path, probe))


def _readable(look: Callable[[], Result]) -> Result:
    try:
        return look()
    except UNREADABLE as error:
        raise UnsupportedMedia(f"the file cannot be read: {error}") from error


def _probe(path: Path) -> Probe:
    with path.open("rb") as file:
        guessed = filetype.guess(file.read(HEAD))
    content_type = canonical(guessed.mime) if guessed else ""
    match medium_of(content_type):
        case Medium.IMAGE:
            return _probe_image(path, content_type)
        case Medium.VIDEO:
            return _probe_video(path, content_type)
        case Medium.AUDIO:
            return _probe_audio(path, content_type)


class _Patience:
    """With one look at one file."""

    def __init__(self) -> None:
        self._until = time.thread_time() + LONGEST_LOOK

    def check(self) -> None:
        if time.thread_time() > self._until:
            raise UnsupportedMedia(f"it takes more than {LONGEST_LOOK} seconds to look at")


class _File(io.FileIO):
    """Ends a look that takes too long: Pillow comes back for more of the file every now and then."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._patience = _Patience()

    def read(self, size: int | None = -1, /) -> bytes:
        self._patience.check()
        return super().read(size) or b""


@contextmanager
def _picture(path: Path, content_type: str) -> Iterator[Image.Image]:
    with _File(path) as file, Image.open(file, formats=[READERS[content_type]]) as image:
        yield image


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    patience = _Patience()
    for packet in container.demux(stream):
        patience.check()
        yield from packet.decode()


def _probe_image(path: Path, content_type: str) -> Probe:
    with _picture(path, content_type) as image:
        if image.width * image.height > MOST_PIXELS:
            raise UnsupportedMedia(f"{image.width} x {image.height} pixels; at most {MOST_PIXELS:,} are taken")
        image.load()
        return Probe(content_type, width=image.width, height=image.height)


def _probe_video(path: Path, content_type: str) -> Probe:
    with av.open(path, format=READERS[content_type]) as container:
        if not container.streams.video:
            raise UnsupportedMedia("the file holds no picture track")
        stream = container.streams.video[0]
        if stream.width * stream.height > MOST_PIXELS:
            raise UnsupportedMedia(f"{stream.width} x {stream.height} pixels; at most {MOST_PIXELS:,} are taken")
        _first_picture(container)
        rate = stream.average_rate
        sound = container.streams.audio[0] if container.streams.audio else None
        if sound:
            _check_sound(sound.rate, sound.channels)
        return Probe(
            content_type,
            width=stream.width,
            height=stream.height,
            duration_seconds=_duration(container),
            frame_rate=float(rate) if rate else None,
            sample_rate=sound.rate if sound else None,
            channels=sound.channels if sound else None,
        )


def _probe_audio(path: Path, content_type: str) -> Probe:
    with av.open(path, format=READERS[content_type]) as container:
        if not container.streams.audio:
            raise UnsupportedMedia("the file holds no sound track")
        stream = container.streams.audio[0]
        _first(_sounds(container))
        return Probe(
            content_type, duration_seconds=_duration(container), sample_rate=stream.rate, channels=stream.channels
        )


def _sounds(container: Any) -> Iterator[Any]:
    """The frames of its sound, each judged: what is resampled unseen can become gigabytes, or take minutes."""
    stream = container.streams.audio[0]
    _check_sound(stream.rate, stream.channels)
    for frame in _frames(container, stream):
        _check_sound(frame.sample_rate, frame.layout.nb_channels, frame.samples)
        yield frame


def _check_sound(sample_rate: int, channels: int, samples: int = 0) -> None:
    if (reason := not_taken(sample_rate, channels, samples)) is not None:
        raise UnsupportedMedia(reason)


def _first_picture(container: Any) -> Any:
    return _first(_frames(container, container.streams.video[0]))


def _first(frames: Iterator[Any]) -> Any:
    # No StopIteration may leave here: asyncio cannot hand one on, and whoever waits would wait for ever.
    frame = next(frames, None)
    if frame is None:
        raise UnsupportedMedia("there is nothing in the file that can be shown or played")
    return frame


def _duration(container: Any) -> float | None:
    if container.duration is None:
        return None
    seconds = float(container.duration / av.time_base)
    if seconds > LONGEST_SECONDS:
        raise UnsupportedMedia(f"{seconds:.0f} seconds long; at most {LONGEST_SECONDS} are taken")
    return seconds


def _thumbnail(path: Path, probe: Probe) -> bytes:
    match medium_of(probe.content_type):
        case Medium.IMAGE:
            with _picture(path, probe.content_type) as image:
                return _small_webp(image.convert("RGB"))
        case Medium.VIDEO:
            with av.open(path, format=READERS[probe.content_type]) as container:
                return _small_webp(_first_picture(container).to_image())
        case Medium.AUDIO:
            return _small_webp(_waveform(path, probe))


def _small_webp(image: Image.Image) -> bytes:
    image.thumbnail(THUMBNAIL)
    written = io.BytesIO()
    image.save(written, format="WEBP", quality=80)
    return written.getvalue()


def _loudness(path: Path, content_type: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The loudest sample of every block. What the file says of its own length is not believed."""
    blocks, rest, heard = [], np.zeros(0, np.float32), 0
    with av.open(path, format=READERS[content_type]) as container:
        mono = av.AudioResampler(format="flt", layout="mono", rate=LISTEN_RATE)
        for frame in _sounds(container):
            for resampled in mono.resample(frame):
                samples = np.abs(np.concatenate([rest, resampled.to_ndarray().ravel()]))
                whole = samples.size // LISTEN_BLOCK * LISTEN_BLOCK
                blocks.append(samples[:whole].reshape(-1, LISTEN_BLOCK).max(axis=1))
                rest, heard = samples[whole:], heard + whole
            if heard > LONGEST_SECONDS * LISTEN_RATE:
                raise UnsupportedMedia(f"longer than {LONGEST_SECONDS} seconds, which is the most that is taken")
    return np.concatenate([*blocks, rest[:1]])


def _waveform(path: Path, probe: Probe) -> Image.Image:
    """The loudest sample of each column, drawn from the middle up and down."""
    width, height = WAVEFORM
    peaks = [float(part.max(initial=0.0)) for part in np.array_split(_loudness(path, probe.content_type), width)]
    loudest = max(*peaks, 1e-6)
    image = Image.new("RGB", (width, height), "#10151c")
    draw = ImageDraw.Draw(image)
    for x, peak in enumerate(peaks):
        reach = max(1, round(peak / loudest * (height / 2 - 4)))
        draw.line([(x, height // 2 - reach), (x, height // 2 + reach)], fill="#5ec8c0")
    return image
