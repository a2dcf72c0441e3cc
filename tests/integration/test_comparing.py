"""How far two files are apart, measured on files whose distance is known."""

import hashlib
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from contracts.catalog import OutputFormat
from contracts.media import Comparison
from gpu_worker.engine.comparing import FILE_GONE, GONE, compare
from gpu_worker.engine.encoders import encode
from gpu_worker.engine.generators import Clip, Picture, RawMedia, Sound
from gpu_worker.protocol import Original
from PIL import Image


def picture(level: int, size: tuple[int, int] = (16, 8)) -> Picture:
    return Picture(Image.new("RGB", size, (level, level, level)))


def clip(level: float, frames: int = 5, size: tuple[int, int] = (64, 48)) -> Clip:
    width, height = size
    return Clip(np.full((frames, height, width, 3), level, dtype=np.float32), 12)


def sound(level: float, count: int = 200_000, channels: int = 1) -> Sound:
    return Sound(np.full((channels, count), level, dtype=np.float32), 16_000)


def written(folder: Path, name: str, media: RawMedia, wanted: OutputFormat) -> Path:
    (folder / name).mkdir(parents=True)
    return encode(media, wanted, folder / name)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def compared(folder: Path, then: RawMedia, now: RawMedia, wanted: OutputFormat = OutputFormat.PNG) -> Comparison:
    original, replayed = written(folder, "then", then, wanted), written(folder, "now", now, wanted)
    return compare(replayed, digest(replayed), Original(path=str(original), sha256=digest(original)))


def test_the_same_bytes_are_equal_and_nothing_apart(tmp_path: Path) -> None:
    found = compared(tmp_path, picture(10), picture(10))
    assert found == Comparison(equal=True, max_difference=0, mean_difference=0)


def test_another_picture_is_as_far_as_it_is(tmp_path: Path) -> None:
    other = picture(51)
    other.image.putpixel((3, 2), (255, 51, 51))
    found = compared(tmp_path, picture(0), other)
    values = 16 * 8 * 3
    assert found.equal is False and found.note is None
    assert found.max_difference == 1
    assert found.mean_difference == pytest.approx((0.2 * (values - 1) + 1) / values, rel=1e-5)
    assert found.psnr_db == pytest.approx(-10 * math.log10((0.04 * (values - 1) + 1) / values), rel=1e-5)


def test_one_step_of_one_channel_is_seen(tmp_path: Path) -> None:
    other = picture(100)
    other.image.putpixel((0, 0), (100, 101, 100))
    found = compared(tmp_path, picture(100), other)
    assert found.max_difference == pytest.approx(1 / 255, rel=1e-4)


def test_the_same_picture_in_other_bytes_has_no_distance(tmp_path: Path) -> None:
    original, replayed = tmp_path / "original.png", tmp_path / "output.png"
    picture(7).image.save(original, compress_level=0)
    picture(7).image.save(replayed, compress_level=9)
    found = compare(replayed, digest(replayed), Original(path=str(original), sha256=digest(original)))
    assert found == Comparison(equal=False, max_difference=0, mean_difference=0, psnr_db=None)


def test_black_and_white_films_are_as_far_apart_as_can_be(tmp_path: Path) -> None:
    found = compared(tmp_path, clip(0), clip(1), OutputFormat.MP4)
    assert found.max_difference == pytest.approx(1, abs=0.02)
    assert found.mean_difference == pytest.approx(1, abs=0.02)
    assert found.psnr_db == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("wanted", [OutputFormat.WAV, OutputFormat.FLAC])
def test_sounds_are_measured_from_the_lowest_to_the_highest(tmp_path: Path, wanted: OutputFormat) -> None:
    found = compared(tmp_path, sound(-1), sound(1), wanted)
    assert found.max_difference == pytest.approx(1, abs=1e-4)
    assert compared(tmp_path / "x", sound(0), sound(0.5), wanted).mean_difference == pytest.approx(0.25, abs=1e-4)


def test_how_an_encoder_cut_a_sound_into_frames_makes_no_difference(tmp_path: Path) -> None:
    samples = np.sin(np.arange(150_001) / 9)[None].astype(np.float32)
    replayed = written(tmp_path, "now", Sound(samples, 16_000), OutputFormat.WAV)
    original = tmp_path / "original.wav"
    with av.open(original, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        whole = (samples * 32767).round().astype(np.int16)
        for start in range(0, whole.size, 777):
            part = np.ascontiguousarray(whole[:, start : start + 777])
            frame: Any = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = compare(replayed, "0" * 64, Original(path=str(original), sha256="1" * 64))
    assert (found.max_difference, found.note) == (0, None)


@pytest.mark.parametrize(
    ("then", "now", "wanted", "note"),
    [
        (picture(1), picture(1, (8, 16)), OutputFormat.PNG, "16 x 8 pixels then, 8 x 16 pixels now"),
        (clip(0), clip(0, frames=4), OutputFormat.MP4, "5 frames of 64 x 48 pixels then, 4 frames"),
        (sound(0), sound(0, channels=2), OutputFormat.WAV, "in 1 channels at 16000 Hz then, 200000 samples in 2"),
        (sound(0), sound(0, count=7), OutputFormat.FLAC, "200000 samples in 1 channels"),
    ],
)
def test_another_shape_is_told_and_not_measured(
    tmp_path: Path, then: RawMedia, now: RawMedia, wanted: OutputFormat, note: str
) -> None:
    found = compared(tmp_path, then, now, wanted)
    assert found.equal is False and found.max_difference is found.mean_difference is found.psnr_db is None
    assert found.note is not None and note in found.note


def test_an_original_that_is_gone_is_told_of(tmp_path: Path) -> None:
    replayed = written(tmp_path, "now", picture(1), OutputFormat.PNG)
    assert compare(replayed, digest(replayed), Original()) == Comparison(equal=None, note=GONE)
    assert compare(replayed, digest(replayed), Original(sha256=digest(replayed))).equal is True
    assert compare(replayed, digest(replayed), Original(sha256="0" * 64)) == Comparison(equal=False, note=FILE_GONE)


@pytest.mark.parametrize("name", ["original.png", "original.mp4", "original.exe", "original"])
def test_an_original_that_is_no_such_file_is_told_of(tmp_path: Path, name: str) -> None:
    replayed = written(tmp_path, "now", picture(1), OutputFormat.PNG)
    (tmp_path / name).write_bytes(b"#EXTM3U\nfile:///etc/passwd\n")
    found = compare(replayed, digest(replayed), Original(path=str(tmp_path / name), sha256="0" * 64))
    assert found.equal is False
    assert found.note is not None and found.note.startswith("the two cannot be compared")
    assert str(tmp_path) not in found.note
