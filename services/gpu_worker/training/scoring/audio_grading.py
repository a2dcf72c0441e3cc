"""Grades the audio model: by ear, and shown as spectrograms."""

from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from training import sounds
from training.scoring.audio import faults
from training.scoring.grades import Grades
from training.scoring.running import Model, Sound

Heard = tuple[np.ndarray[Any, Any], str, list[str]]
"""Samples, the prompt that they are to be of, and what is wrong with them."""

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


def asked(prompts: int, seed: int) -> list[tuple[sounds.Sound, str, int]]:
    """The held-out sounds in turn, put into words anew each time, and a seed to make each from."""
    rng = np.random.default_rng(seed)
    held_out = [sound for sound in sounds.every_sound() if sound.held_out]
    rng.shuffle(held_out)
    return [(sound, sounds.prompt(sound, rng), int(rng.integers(2**32))) for sound in islice(cycle(held_out), prompts)]


def grade(folder: Path, prompts: int, seed: int) -> tuple[Grades, Image.Image]:
    """Whether each was right, by task and kind of prompt; and what the first of them look like."""
    grades, shown = Grades(), []
    model = Model("tiny-audio", folder)
    for sound, prompt, number in tqdm(asked(prompts, seed)):
        samples = heard(model(prompt=prompt, seed=number))
        wrong = faults(samples, sound)
        grades.note("from text", sound.kind, prompt, wrong)
        shown.append((samples, prompt, wrong))
    return grades, contact_sheet(shown)


def heard(made: object) -> np.ndarray[Any, Any]:
    """The first channel."""
    if not isinstance(made, Sound):
        raise TypeError(made)
    samples: np.ndarray[Any, Any] = made.samples[0]
    return samples


def contact_sheet(shown: list[Heard]) -> Image.Image:
    """Spectrograms, low tones at the bottom, up to 4 kHz; under each its prompt, and what is wrong with it."""
    sheet = Image.new("RGB", (COLUMNS * WIDTH, ROWS * (HEIGHT + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (samples, prompt, wrong) in enumerate(shown[: COLUMNS * ROWS]):
        row, column = divmod(number, COLUMNS)
        left, top = column * WIDTH, row * (HEIGHT + CAPTION)
        picture = _spectrogram(samples).resize((WIDTH - 4, HEIGHT - 2), Image.Resampling.BILINEAR)
        sheet.paste(picture, (left + 2, top + 2))
        words, colour = prompt, "black"
        if wrong:
            words, colour = f"{prompt} [{', '.join(wrong)}]", "red"
        draw.text((left + 3, top + HEIGHT + 2), words[:44], fill=colour, font_size=10)
    return sheet


def _spectrogram(samples: np.ndarray[Any, Any]) -> Image.Image:
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW)))[:, : WINDOW // 4].T[::-1]
    level = 20 * np.log10(power / max(power.max(), 1e-6) + 1e-9) / DECIBELS + 1
    points = np.linspace(0, 1, len(INFERNO))
    colours = [np.interp(level, points, [colour[channel] for colour in INFERNO]) for channel in range(3)]
    return Image.fromarray(np.stack(colours, axis=-1).astype(np.uint8))
