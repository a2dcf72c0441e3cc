"""Cutting films together in the real engine child: what is in them frame by frame, and what cannot be cut."""

from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from contracts.catalog import read_catalog
from contracts.identifiers import task_id_for
from gpu_worker.adapters.engine_process import EngineProcess
from gpu_worker.engine.editing import SOUND_RATE
from gpu_worker.engine.h264 import add_h264
from gpu_worker.protocol import Encoded, EngineOptions, Failed, RunJob, Stepped, Stopped
from gpu_worker.testing.conformance import run

from tests.unit.storage.flac import flac

CATALOG = read_catalog(only=["mux", "concat"])
RED, GREEN, BLUE = (230, 20, 20), (20, 200, 20), (20, 20, 230)


@pytest.fixture
async def engine(models_folder: Path) -> AsyncIterator[EngineProcess]:
    options = EngineOptions(catalog=CATALOG, models_folder=str(models_folder), threads=2, log_level="WARNING")
    process = EngineProcess(options)
    async with process.running():
        yield process


def a_clip(
    path: Path, colour: tuple[int, int, int], frames: int, size: tuple[int, int] = (64, 48), rate: int = 8
) -> Path:
    with av.open(path, "w", format="mp4") as container:
        stream = add_h264(container, *size, Fraction(rate))
        picture = np.full((size[1], size[0], 3), colour, np.uint8)
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def a_tone(path: Path, seconds: float, rate: int = 16_000) -> Path:
    samples = np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate) * 16_000
    with av.open(path, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples.astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def a_job(folder: Path, model: str, name: str = "a", params: dict[str, Any] | None = None, **inputs: Path) -> RunJob:
    (folder / name).mkdir()
    return RunJob(
        task_id=task_id_for("p", name),
        attempt=1,
        correlation_id="c",
        model=model,
        params=CATALOG[model].defaults | (params or {}),
        inputs={key: str(path) for key, path in inputs.items()},
        folder=str(folder / name),
    )


async def film(engine: EngineProcess, job: RunJob) -> Path:
    last = (await run(engine, job))[-1]
    assert isinstance(last, Encoded), last
    return Path(last.path)


def colours(path: Path) -> list[str]:
    """Of the middle of each frame, in order."""
    with av.open(path) as container:
        middles = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return ["RGB"[int(picture[picture.shape[0] // 2, picture.shape[1] // 2].argmax())] for picture in middles]


def loudness(path: Path) -> np.ndarray[Any, Any]:
    """Root mean square of each tenth of a second, of the first channel."""
    with av.open(path) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    tenth = SOUND_RATE // 10
    tenths: np.ndarray[Any, Any] = samples[: samples.size // tenth * tenth].reshape(-1, tenth)
    return np.asarray(np.sqrt(np.square(tenths).mean(axis=1)))


async def failure(engine: EngineProcess, job: RunJob) -> Failed:
    last = (await run(engine, job))[-1]
    assert isinstance(last, Failed), last
    return last


class TestMux:
    async def test_a_short_sound_is_followed_by_silence(self, engine: EngineProcess, tmp_path: Path) -> None:
        clip, tone = a_clip(tmp_path / "clip", RED, 16), a_tone(tmp_path / "tone", 1.0)
        made = await film(engine, a_job(tmp_path, "mux", video=clip, audio=tone))
        assert colours(made) == ["R"] * 16
        heard = loudness(made)
        assert len(heard) == 20, "two seconds, as the pictures"
        assert heard[1:9].min() > 0.2
        assert heard[12:].max() < 0.01

    async def test_a_long_sound_is_cut_off(self, engine: EngineProcess, tmp_path: Path) -> None:
        clip, tone = a_clip(tmp_path / "clip", RED, 8), a_tone(tmp_path / "tone", 5.0)
        made = await film(engine, a_job(tmp_path, "mux", video=clip, audio=tone))
        assert len(loudness(made)) == 10

    async def test_it_is_as_loud_as_is_asked_for(self, engine: EngineProcess, tmp_path: Path) -> None:
        clip, tone = a_clip(tmp_path / "clip", RED, 8), a_tone(tmp_path / "tone", 1.0)
        whole = await film(engine, a_job(tmp_path, "mux", "a", video=clip, audio=tone))
        half = await film(engine, a_job(tmp_path, "mux", "b", {"volume": 0.5}, video=clip, audio=tone))
        assert loudness(half)[5] == pytest.approx(loudness(whole)[5] / 2, rel=0.05)

    async def test_the_same_files_make_the_same_bytes(self, engine: EngineProcess, tmp_path: Path) -> None:
        clip, tone = a_clip(tmp_path / "clip", RED, 8), a_tone(tmp_path / "tone", 1.0)
        made = [await film(engine, a_job(tmp_path, "mux", name, video=clip, audio=tone)) for name in "ab"]
        assert made[0].read_bytes() == made[1].read_bytes()


class TestConcat:
    async def test_clips_follow_each_other_in_order_with_their_sound(
        self, engine: EngineProcess, tmp_path: Path
    ) -> None:
        clip, tone = a_clip(tmp_path / "clip", RED, 8), a_tone(tmp_path / "tone", 1.0)
        with_sound = await film(engine, a_job(tmp_path, "mux", "sound", video=clip, audio=tone))
        silent = a_clip(tmp_path / "silent", GREEN, 8)
        job = a_job(tmp_path, "concat", clip_1=with_sound, clip_2=silent, clip_3=with_sound)
        made = await film(engine, job)
        assert colours(made) == [*"R" * 8, *"G" * 8, *"R" * 8]
        heard = loudness(made)
        assert len(heard) == 30
        assert heard[1:9].min() > 0.2
        assert heard[12:19].max() < 0.01
        assert heard[22:28].min() > 0.2

    async def test_the_first_clip_gives_size_and_frame_rate(self, engine: EngineProcess, tmp_path: Path) -> None:
        first = a_clip(tmp_path / "first", RED, 8, (64, 48), 8)
        tall = a_clip(tmp_path / "tall", BLUE, 24, (32, 96), 24)
        made = await film(engine, a_job(tmp_path, "concat", clip_1=first, clip_2=tall))
        assert colours(made) == [*"R" * 8, *"B" * 8]
        with av.open(made) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height, stream.average_rate) == (64, 48, 8)
            assert not container.streams.audio, "nobody gave a sound"
            last = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][-1]
        assert last[24, 2].max() < 40, "bars beside a clip of another shape"

    async def test_one_clip_and_gaps_between_the_places_are_fine(self, engine: EngineProcess, tmp_path: Path) -> None:
        first, second = a_clip(tmp_path / "first", RED, 4), a_clip(tmp_path / "second", GREEN, 4)
        made = await film(engine, a_job(tmp_path, "concat", clip_9=second, clip_1=first))
        assert colours(made) == [*"RRRR", *"GGGG"]

    async def test_progress_is_told_and_it_can_be_stopped(self, engine: EngineProcess, tmp_path: Path) -> None:
        clip = a_clip(tmp_path / "clip", RED, 400, (320, 240), 25)
        clips = {f"clip_{number}": clip for number in range(1, 9)}
        job = a_job(tmp_path, "concat", "a", None, **clips)
        reports = []
        async for report in engine.run(job):
            reports.append(report)
            if isinstance(report, Stepped) and report.step < report.total:
                engine.stop(job.task_id, 1)
        assert isinstance(reports[-1], Stopped)
        assert {report.total for report in reports if isinstance(report, Stepped)} == {3200}


class TestWhatCannotBeCut:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n", "cannot be read"),
            (b"ffconcat version 1.0\nfile /etc/hostname\n", "cannot be read"),
            (b"PK\x03\x04 no film at all", "cannot be read"),
            (b"", "cannot be read"),
        ],
    )
    async def test_what_is_no_film_or_names_other_files(
        self, engine: EngineProcess, tmp_path: Path, content: bytes, said: str
    ) -> None:
        (tmp_path / "bad").write_bytes(content)
        found = await failure(engine, a_job(tmp_path, "concat", clip_1=tmp_path / "bad"))
        assert (found.problem.code, found.problem.retryable) == ("unusable-input", False)
        assert said in found.problem.detail

    async def test_a_sound_is_no_clip_and_a_silent_clip_no_sound(self, engine: EngineProcess, tmp_path: Path) -> None:
        clip, tone = a_clip(tmp_path / "clip", RED, 4), a_tone(tmp_path / "tone", 1.0)
        no_picture = await failure(engine, a_job(tmp_path, "mux", "a", video=tone, audio=tone))
        assert "no pictures" in no_picture.problem.detail
        no_sound = await failure(engine, a_job(tmp_path, "mux", "b", video=clip, audio=clip))
        assert "no sound" in no_sound.problem.detail

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            pytest.param(flac(1), "1 Hz", id="so slow that a few samples fill the memory"),
            pytest.param(flac(48_000, frames=[1]), "1 Hz", id="as slow, which only its frame says"),
            pytest.param(flac(48_000, frames=[None, 1]), "1 Hz", id="as slow, which only a later frame says"),
            pytest.param(flac(655_350, channels=8), "655350 Hz", id="so fast that it takes minutes"),
        ],
    )
    async def test_a_sound_that_is_like_none(
        self, engine: EngineProcess, tmp_path: Path, content: bytes, said: str
    ) -> None:
        (tmp_path / "odd").write_bytes(content)
        clip = a_clip(tmp_path / "clip", RED, 4)
        found = await failure(engine, a_job(tmp_path, "mux", video=clip, audio=tmp_path / "odd"))
        assert (found.problem.code, found.problem.retryable) == ("unusable-input", False)
        assert said in found.problem.detail

    async def test_a_file_that_was_cut_off(self, engine: EngineProcess, tmp_path: Path) -> None:
        whole = a_clip(tmp_path / "clip", RED, 16).read_bytes()
        (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
        found = await failure(engine, a_job(tmp_path, "concat", clip_1=tmp_path / "half"))
        assert found.problem.code == "unusable-input"
