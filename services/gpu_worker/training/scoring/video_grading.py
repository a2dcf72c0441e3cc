"""Grades the video model: from text, and from a first frame."""

from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from training.motions import Scene, render, scenes
from training.scoring.grades import Grades
from training.scoring.running import Clip, Model
from training.scoring.sheets import Shown, contact_sheet, strip
from training.scoring.video import mistakes

CONTINUED_SHARE = 4
"""One clip from a first frame for so many prompts."""
SHOWN = 18


def asked(prompts: int, seed: int) -> list[tuple[Scene, str, int]]:
    """Held-out scenes, put into words, and a seed to make each from."""
    rng = np.random.default_rng(seed)
    chosen = islice(scenes(rng, held_out=True), prompts)
    return [(scene, scene.prompt(rng), number) for number, scene in enumerate(chosen)]


def grade(folder: Path, prompts: int, seed: int) -> tuple[Grades, Image.Image]:
    """Whether each was right, by task and motion; and some frames of the first ones."""
    grades = Grades()
    model = Model("tiny-video", folder)
    shown = []
    for scene, prompt, number in tqdm(asked(prompts, seed)):
        frames = seen(model(prompt=prompt, seed=number))
        shown.append(Shown(strip(frames), prompt, mistakes(frames, scene)))
        grades.note("from text", scene.motion, prompt, shown[-1].wrong)
    continued = Model("tiny-video-from-image", folder, of=model)
    for scene, prompt, number in tqdm(asked(prompts // CONTINUED_SHARE, seed + 1)):
        first = Image.fromarray(np.uint8(render([scene], np.random.default_rng(number))[0, 0] * 255 + 0.5))
        frames = seen(continued(prompt=prompt, seed=number, image=first))
        grades.note("from first frame", scene.motion, prompt, mistakes(frames, scene))
    return grades, contact_sheet(shown[:SHOWN], columns=2)


def seen(made: object) -> NDArray[np.float32]:
    """Pixels from 0 to 1."""
    if not isinstance(made, Clip):
        raise TypeError(made)
    return made.frames.astype(np.float32)
