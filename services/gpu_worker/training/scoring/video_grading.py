"""Grades the video model: from text, and from a first frame."""

from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from training.motions import render, scenes
from training.scoring.grades import Grades
from training.scoring.running import Clip, Model
from training.scoring.sheets import Shown, contact_sheet, strip
from training.scoring.video import mistakes

CONTINUED_SHARE = 4
"""One clip from a first frame for so many prompts."""
SHOWN = 18


def grade(folder: Path, prompts: int, seed: int) -> tuple[Grades, Image.Image]:
    """Whether each was right, by task and motion; and some frames of the first ones."""
    rng = np.random.default_rng(seed)
    grades = Grades()
    model = Model("tiny-video", folder)
    shown = []
    for number, scene in enumerate(tqdm(islice(scenes(rng, held_out=True), prompts), total=prompts)):
        prompt = scene.prompt(rng)
        frames = _frames(model(prompt=prompt, seed=number))
        shown.append(Shown(strip(frames), prompt, mistakes(frames, scene)))
        grades.note("from text", scene.motion, prompt, shown[-1].wrong)
    continued = Model("tiny-video-from-image", folder, of=model)
    count = prompts // CONTINUED_SHARE
    for number, scene in enumerate(tqdm(islice(scenes(rng, held_out=True), count), total=count)):
        prompt = scene.prompt(rng)
        first = Image.fromarray(np.uint8(render([scene], rng)[0, 0] * 255 + 0.5))
        frames = _frames(continued(prompt=prompt, seed=number, image=first))
        grades.note("from first frame", scene.motion, prompt, mistakes(frames, scene))
    return grades, contact_sheet(shown[:SHOWN], columns=2)


def _frames(made: object) -> NDArray[np.float32]:
    if not isinstance(made, Clip):
        raise TypeError(made)
    return made.frames.astype(np.float32)
