"""Looking into files, most of which are not what they say."""

import asyncio
import io
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from contracts import media
from contracts.errors import UnsupportedMedia
from PIL import Image
from storage.adapters import media_tools
from storage.adapters.media_tools import PillowAndPyAV
from storage.domain import Probe

from tests.unit.storage.flac import flac

TOOLS = PillowAndPyAV()


def picture(path: Path, kind: str = "PNG", size: tuple[int, int] = (40, 30)) -> Path:
    Image.new("RGB", size, "red").save(path, kind)
    return path


def clip(path: Path, frames: int = 5) -> Path:
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(frames):
            shade = np.full((48, 64, 3), n * 40, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def sound(path: Path, kind: str = "wav", codec: str = "pcm_s16le") -> Path:
    with av.open(path, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=16000, layout="mono")
        wave = (np.sin(np.linspace(0, 400, 16000)) * 20000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("kind", "content_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
async def test_pictures(tmp_path: Path, kind: str, content_type: str) -> None:
    assert await TOOLS.probe(picture(tmp_path / "x", kind)) == Probe(content_type, width=40, height=30)


async def test_a_clip(tmp_path: Path) -> None:
    probe = await TOOLS.probe(clip(tmp_path / "x"))
    assert (probe.content_type, probe.width, probe.height, probe.frame_rate) == ("video/mp4", 64, 48, 10)
    assert probe.duration_seconds == pytest.approx(0.5)


@pytest.mark.parametrize(("kind", "codec"), [("wav", "pcm_s16le"), ("flac", "flac")])
async def test_a_sound(tmp_path: Path, kind: str, codec: str) -> None:
    probe = await TOOLS.probe(sound(tmp_path / "x", kind, codec))
    assert (probe.content_type, probe.sample_rate, probe.channels) == (f"audio/{kind}", 16000, 1)
    assert probe.duration_seconds == pytest.approx(1.0, abs=0.05)


async def test_thumbnails_of_all_three(tmp_path: Path) -> None:
    large = picture(tmp_path / "picture", size=(1000, 500))
    for path in (large, clip(tmp_path / "clip"), sound(tmp_path / "sound")):
        small = await TOOLS.thumbnail(path, await TOOLS.probe(path))
        with Image.open(io.BytesIO(small)) as image:
            assert image.format == "WEBP"
            assert max(image.size) <= 320


def test_a_picture_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_tools, "MOST_PIXELS", 1000)
    path = picture(tmp_path / "x", size=(100, 100))
    with pytest.raises(UnsupportedMedia, match="pixels"):
        media_tools._probe_image(path, "image/png")


def a_zip() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("x", "y")
    return written.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        a_zip(),
        b"<html><script>alert(1)</script></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\x89PNG\r\n\x1a\n" + b"\x00" * 100,
        b"RIFF\x00\x00\x00\x00WAVEfmt " + b"\xff" * 50,
        b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 200,
        b"fLaC" + b"\x00" * 200,
        b"\x1aE\xdf\xa3" + b"\x00" * 200,
        b"OggS" + b"\x00" * 200,
        b"ID3\x03\x00" + b"\x00" * 200,
    ],
)
async def test_what_is_no_media_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(UnsupportedMedia):
        await TOOLS.probe(path)


async def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    for whole in (picture(tmp_path / "a", size=(500, 500)), clip(tmp_path / "b")):
        content = whole.read_bytes()
        whole.write_bytes(content[: len(content) // 3])
        with pytest.raises(UnsupportedMedia):
            await TOOLS.probe(whole)


def empty_wav() -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
    return written.getvalue()


def header_of_flac(path: Path) -> bytes:
    """Everything before the first frame."""
    content = sound(path, "flac", "flac").read_bytes()
    return content[: content.index(b"\xff\xf8")]


async def test_media_without_content_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    for content in (empty_wav(), header_of_flac(tmp_path / "whole")):
        path = tmp_path / "empty"
        path.write_bytes(content)
        async with asyncio.timeout(30):
            with pytest.raises(UnsupportedMedia):
                await TOOLS.probe(path)


async def test_a_sound_longer_than_it_says_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_tools, "LONGEST_SECONDS", 0.5)
    path = sound(tmp_path / "x")
    with pytest.raises(UnsupportedMedia, match="longer than"):
        await TOOLS.thumbnail(path, Probe("audio/wav"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(flac(1), "1 Hz", id="so slow that a few samples fill the memory"),
        pytest.param(flac(48_000, frames=[1]), "1 Hz", id="as slow, which only its frame says"),
        pytest.param(flac(3_999), "3999 Hz", id="slower than any"),
        pytest.param(flac(192_010), "192010 Hz", id="faster than any"),
        pytest.param(flac(655_350, channels=8), "655350 Hz", id="so fast that it takes minutes"),
    ],
)
async def test_a_sound_that_is_like_none_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    await refused(path, said)


async def refused(path: Path, said: str) -> None:
    with pytest.raises(UnsupportedMedia, match=said):
        await TOOLS.probe(path)
    with pytest.raises(UnsupportedMedia, match=said):
        await TOOLS.thumbnail(path, Probe("audio/flac"))


@pytest.mark.parametrize(("rate", "channels"), [(4_000, 1), (192_000, 8)])
async def test_the_slowest_and_the_fastest_sounds_are_taken(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(flac(rate, channels=channels, samples=65_535))
    probe = await TOOLS.probe(path)
    assert (probe.sample_rate, probe.channels) == (rate, channels)
    assert await TOOLS.thumbnail(path, probe)


async def test_a_clip_whose_sound_is_like_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with av.open(clip(tmp_path / "clip")) as picture, av.open(path, "w", format="mp4") as container:
        pictures = container.add_stream_from_template(picture.streams.video[0])
        sounds = container.add_stream("flac", rate=1, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 64), np.int16), format="s16", layout="mono")
        frame.sample_rate = 1
        for packet in picture.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                container.mux(packet)
        container.mux(sounds.encode(frame))
        container.mux(sounds.encode(None))
    with pytest.raises(UnsupportedMedia, match="1 Hz"):
        await TOOLS.probe(path)


async def test_a_frame_that_is_longer_than_any_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are files whose every sample is in one frame."""
    monkeypatch.setattr(media, "MOST_SAMPLES_IN_A_FRAME", 1000)
    path = tmp_path / "x"
    path.write_bytes(flac(8_000, samples=1001))
    await refused(path, "1001 samples")


@pytest.mark.parametrize(
    "make",
    [lambda path: picture(path, "JPEG"), clip, lambda path: sound(path, "flac", "flac")],
    ids=["JPEG", "MP4", "FLAC"],
)
async def test_what_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path / "x")
    probe = await TOOLS.probe(path)
    monkeypatch.setattr(media_tools, "LONGEST_LOOK", 0, raising=False)
    with pytest.raises(UnsupportedMedia, match="more than 0 seconds"):
        await TOOLS.probe(path)
    with pytest.raises(UnsupportedMedia, match="more than 0 seconds"):
        await TOOLS.thumbnail(path, probe)


async def test_the_shape_of_a_sound_is_drawn_from_all_of_it(tmp_path: Path) -> None:
    loudness = media_tools._loudness(sound(tmp_path / "x"), "audio/wav")
    assert len(loudness) == pytest.approx(1000, abs=10)
    assert loudness.max() == pytest.approx(20000 / 32768, abs=0.05)
