"""The exam of the audio model: sounds it was never trained on, judged by ear and shown as spectrograms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gpu_worker.engine.generators import RawMedia
from gpu_worker.engine.generators import Sound as RawSound
from PIL import Image, ImageDraw

from training import sounds
from training.exam import Answer, Question
from training.scoring import audio

MODEL = "tiny-audio"
COLUMNS, ROWS = 5, 6
WIDTH, HEIGHT, CAPTION = 230, 120, 18
WINDOW, HOP = 512, 128
DECIBELS = 60
INFERNO = (
    (0, 0, 4),
    (31, 12, 72),
    (85, 15, 109),
    (136, 34, 106),
    (186, 54, 85),
    (227, 89, 51),
    (249, 140, 10),
    (249, 201, 50),
    (252, 255, 164),
)
"""Points of matplotlib's colour map of this name: equal steps look equally far apart."""


def questions(count: int, seed: int) -> list[Question]:
    """The held-out sounds in turn, put into words anew each time."""
    rng = np.random.default_rng(seed)
    held_out = [sound for sound in sounds.every_sound() if sound.held_out]
    rng.shuffle(held_out)
    return [
        Question(sounds.prompt(sound, rng), sound, sound.kind, seed=int(rng.integers(2**32)))
        for sound in (held_out[number % len(held_out)] for number in range(count))
    ]


def faults(media: RawMedia, scene: Any) -> list[str]:
    return audio.faults(_samples(media), scene)


def contact_sheet(answers: Sequence[Answer]) -> Image.Image:
    """Spectrograms, low tones at the bottom, up to 4 kHz; under each its prompt, and what is wrong with it."""
    sheet = Image.new("RGB", (COLUMNS * WIDTH, ROWS * (HEIGHT + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, answer in enumerate(answers[: COLUMNS * ROWS]):
        row, column = divmod(number, COLUMNS)
        left, top = column * WIDTH, row * (HEIGHT + CAPTION)
        picture = _spectrogram(_samples(answer.media)).resize((WIDTH - 4, HEIGHT - 2), Image.Resampling.BILINEAR)
        sheet.paste(picture, (left + 2, top + 2))
        words, colour = answer.question.prompt, "black"
        if answer.faults:
            words, colour = f"{words} [{', '.join(answer.faults)}]", "red"
        draw.text((left + 3, top + HEIGHT + 2), words[:44], fill=colour, font_size=10)
    return sheet


def _samples(media: RawMedia) -> np.ndarray[Any, Any]:
    if not isinstance(media, RawSound):
        raise TypeError(f"no sound: {media!r}")
    samples: np.ndarray[Any, Any] = media.samples[0]
    return samples


def _spectrogram(samples: np.ndarray[Any, Any]) -> Image.Image:
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW)))[:, : WINDOW // 4].T[::-1]
    level = 20 * np.log10(power / max(power.max(), 1e-6) + 1e-9) / DECIBELS + 1
    points = np.linspace(0, 1, len(INFERNO))
    colours = [np.interp(level, points, [colour[channel] for colour in INFERNO]) for channel in range(3)]
    return Image.fromarray(np.stack(colours, axis=-1).astype(np.uint8))
