"""Cutting a film together, by ffmpeg's libraries: sound under a clip, and clips one after the other.

Frame by frame, so that a long film takes no more memory than a short one. Inputs were looked into when they came
into the project and are not trusted all the same: only readers for films and sounds are tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from contracts.catalog import Generator, ModelEntry
from contracts.media import not_taken
from pydantic import JsonValue

from gpu_worker.engine.failures import UnusableInput
from gpu_worker.engine.generators import OnStep
from gpu_worker.engine.h264 import add_h264

READERS = "mov,matroska,webm,wav,flac,mp3,ogg"
SOUND_RATE = 48_000
SOUND_BITS = 192_000
MOST_FRAMES_A_SECOND = 120
SAID_EVERY = 8
"""Frames between two words of how far it has come."""

Samples = np.ndarray[Any, np.dtype[np.float32]]
"""Of two channels, as `(2, count)`."""


@dataclass(frozen=True)
class Shot:
    """A clip, and the file whose sound goes with it: its own, another, or none for silence."""

    picture: Path
    sound: Path | None
    volume: float = 1.0


def edit(
    entry: ModelEntry, params: Mapping[str, JsonValue], inputs: Mapping[str, Path], path: Path, on_step: OnStep
) -> None:
    """Writes the film to `path`. Raises `UnusableInput`, and what `on_step` raises to stop it."""
    cut_together(_shots(entry, params, inputs), path, on_step)


def _shots(entry: ModelEntry, params: Mapping[str, JsonValue], inputs: Mapping[str, Path]) -> list[Shot]:
    match entry.generator:
        case Generator.MUX:
            volume = params.get("volume")
            return [Shot(inputs["video"], inputs["audio"], float(volume) if isinstance(volume, int | float) else 1.0)]
        case Generator.CONCAT:
            # In the order of the catalog's places, whichever of them are taken.
            clips = [inputs[name] for name in entry.inputs if name in inputs]
            return [Shot(clip, clip if _has_sound(clip) else None) for clip in clips]
        case other:
            raise ValueError(f"{other.value} is nothing that is cut together")


def cut_together(shots: Sequence[Shot], path: Path, on_step: OnStep) -> None:
    """One film of all the shots, of the size and the frame rate of the first; others are fitted in between bars.

    Sound is as long as its picture: what is longer is cut off, what is shorter is followed by silence.
    """
    total = sum(_frame_count(shot.picture) for shot in shots)
    width, height, rate = _shape(shots[0].picture)
    with av.open(path, "w", options={"movflags": "+faststart"}) as container:
        film = _Film(container, add_h264(container, width, height, rate), rate)
        if any(shot.sound for shot in shots):
            film.sound = container.add_stream("aac", rate=SOUND_RATE, layout="stereo", options={"b": str(SOUND_BITS)})
        for shot in shots:
            sound = _Samples(_sound(shot))
            for frame in _pictures(shot.picture, width, height, rate):
                film.show(frame)
                film.play(sound)
                if film.frames % SAID_EVERY == 0:
                    on_step(min(film.frames, total), total)
        film.end()
    on_step(total, total)


@dataclass
class _Film:
    """What is being written, and how far it has come."""

    container: Any
    picture: Any
    rate: Fraction
    sound: Any = None
    frames: int = 0
    samples: int = 0

    def show(self, frame: Any) -> None:
        frame.pts, frame.time_base = self.frames, 1 / self.rate
        self.container.mux(self.picture.encode(frame))
        self.frames += 1

    def play(self, sound: "_Samples") -> None:
        """As much sound as there is picture so far."""
        wanted = round(self.frames / self.rate * SOUND_RATE) - self.samples
        if self.sound is None or wanted <= 0:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.take(wanted)), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, self.samples, Fraction(1, SOUND_RATE)
        self.container.mux(self.sound.encode(frame))
        self.samples += wanted

    def end(self) -> None:
        for stream in (self.picture, self.sound):
            if stream is not None:
                self.container.mux(stream.encode(None))


@dataclass
class _Samples:
    """Sound in whatever pieces are asked for; silence when there is no more."""

    pieces: Iterator[Samples]
    rest: Samples = field(default_factory=lambda: np.zeros((2, 0), np.float32))

    def take(self, count: int) -> Samples:
        while self.rest.shape[1] < count and (piece := next(self.pieces, None)) is not None:
            self.rest = np.concatenate([self.rest, piece], axis=1)
        taken, self.rest = self.rest[:, :count], self.rest[:, count:]
        return np.pad(taken, ((0, 0), (0, count - taken.shape[1])))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with av.open(path, options={"format_whitelist": READERS}) as container:
            yield container
    except (av.FFmpegError, OSError) as error:
        raise UnusableInput(f"an input cannot be read: {error.strerror or error}") from error


def _has_sound(path: Path) -> bool:
    with _opened(path) as container:
        return bool(container.streams.audio)


def _video_of(container: Any) -> Any:
    if not container.streams.video:
        raise UnusableInput("an input holds no pictures")
    return container.streams.video[0]


def _frame_count(path: Path) -> int:
    """As its header says, which is good enough to tell how far one has come."""
    with _opened(path) as container:
        return max(1, int(_video_of(container).frames))


def _shape(path: Path) -> tuple[int, int, Fraction]:
    """Width and height, both even as H.264 has them, and the frame rate."""
    with _opened(path) as container:
        stream = _video_of(container)
        rate = Fraction(stream.average_rate or stream.guessed_rate or 24).limit_denominator(1001)
        rate = min(max(rate, Fraction(1)), Fraction(MOST_FRAMES_A_SECOND))
        return stream.width + stream.width % 2, stream.height + stream.height % 2, rate


def _pictures(path: Path, width: int, height: int, rate: Fraction) -> Iterator[Any]:
    """The frames of the clip, in that size and at that rate."""
    with _opened(path) as container:
        stream = _video_of(container)
        graph = _fitted(stream, width, height, rate)
        shown = 0
        for frame in container.decode(stream):
            graph.push(frame)
            for fitted in _pulled(graph):
                shown += 1
                yield fitted
        graph.push(None)
        for fitted in _pulled(graph):
            shown += 1
            yield fitted
        if not shown:
            raise UnusableInput("an input holds no picture that can be shown")


def _fitted(stream: Any, width: int, height: int, rate: Fraction) -> Any:
    graph = av.filter.Graph()
    size = f"{width}:{height}"
    graph.link_nodes(
        graph.add_buffer(template=stream),
        graph.add("scale", f"{size}:force_original_aspect_ratio=decrease:flags=bicubic"),
        graph.add("pad", f"{size}:-1:-1"),
        graph.add("setsar", "1"),
        graph.add("fps", f"{rate.numerator}/{rate.denominator}"),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return


def _sound(shot: Shot) -> Iterator[Samples]:
    if shot.sound is None:
        return
    with _opened(shot.sound) as container:
        if not container.streams.audio:
            raise UnusableInput("an input holds no sound")
        stereo = av.AudioResampler(format="fltp", layout="stereo", rate=SOUND_RATE)
        for frame in chain(_judged(container), [None]):
            for piece in stereo.resample(frame):
                yield np.clip(piece.to_ndarray() * np.float32(shot.volume), -1, 1)


def _judged(container: Any) -> Iterator[Any]:
    """The frames of its sound, as long as none would become far more by being resampled."""
    stream = container.streams.audio[0]
    _check(not_taken(stream.rate, stream.channels))
    for frame in container.decode(stream):
        _check(not_taken(frame.sample_rate, frame.layout.nb_channels, frame.samples))
        yield frame


def _check(wrong: str | None) -> None:
    if wrong is not None:
        raise UnusableInput(f"an input holds {wrong}")
