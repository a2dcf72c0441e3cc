"""Grades the audio model: by ear, and shown as spectrograms."""

from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from training import sounds
from training.drawing import unit
from training.scoring.audio import faults
from training.scoring.grades import Grades
from training.scoring.running import Model, Sound
from training.scoring.sheets import Shown, contact_sheet

SHOWN = 30
WIDTH, HEIGHT = 230, 120
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
        shown.append(Shown(_spectrogram(samples), prompt, faults(samples, sound)))
        grades.note("from text", sound.kind, prompt, shown[-1].wrong)
    return grades, contact_sheet(shown[:SHOWN], columns=5)


def heard(made: object) -> np.ndarray[Any, Any]:
    """The first channel."""
    if not isinstance(made, Sound):
        raise TypeError(made)
    samples: np.ndarray[Any, Any] = made.samples[0]
    return samples


def _spectrogram(samples: np.ndarray[Any, Any]) -> NDArray[np.float32]:
    """Low tones at the bottom, up to 4 kHz."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW)))[:, : WINDOW // 4].T[::-1]
    level = 20 * np.log10(power / max(power.max(), 1e-6) + 1e-9) / DECIBELS + 1
    points = np.linspace(0, 1, len(INFERNO))
    colours = [np.interp(level, points, [colour[channel] for colour in INFERNO]) for channel in range(3)]
    picture = Image.fromarray(np.stack(colours, axis=-1).astype(np.uint8))
    return unit(np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)))
