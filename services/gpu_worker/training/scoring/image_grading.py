"""Grades the image model: from text, and from a picture of something else."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from training.drawing import unit
from training.scoring.grades import Grades
from training.scoring.image import mistakes
from training.scoring.running import Model, Picture
from training.scoring.sheets import Shown, contact_sheet
from training.shapes import Scene, render, scenes

EDITS_SHARE = 4
"""One edit for so many prompts."""
STRENGTH = 0.9
SHOWN = 36


def asked(prompts: int, seed: int) -> list[tuple[Scene, str, int]]:
    """Held-out scenes, put into words, and a seed to make each from."""
    rng = np.random.default_rng(seed)
    chosen = islice(scenes(rng, held_out=True), prompts)
    return [(scene, scene.prompt(rng), number) for number, scene in enumerate(chosen)]


def grade(folder: Path, prompts: int, seed: int) -> tuple[Grades, Image.Image]:
    """Whether each was right, by task and kind of prompt; and what the first of each task look like."""
    grades = Grades()
    model = Model("tiny-image", folder)
    shown = []
    for scene, prompt, number in tqdm(asked(prompts, seed)):
        picture = seen(model(prompt=prompt, seed=number))
        shown.append(Shown(picture, prompt, mistakes(picture, scene)))
        grades.note("from text", scene.kind, prompt, shown[-1].wrong)
    edit = Model("tiny-image-edit", folder, of=model)
    rng = np.random.default_rng((seed, 1))
    alone = (scene for scene in scenes(rng, held_out=True) if scene.kind == "one")
    for number, scene in enumerate(tqdm(islice(alone, prompts // EDITS_SHARE), total=prompts // EDITS_SHARE)):
        prompt = scene.prompt(rng)
        start = render([_another(scene, rng)], rng)[0]
        image = Image.fromarray(np.uint8(start * 255 + 0.5))
        picture = seen(edit(prompt=prompt, seed=number, strength=STRENGTH, image=image))
        grades.note("from image", scene.kind, prompt, mistakes(picture, scene))
    return grades, contact_sheet(shown[:SHOWN], columns=9)


def _another(scene: Scene, rng: np.random.Generator) -> Scene:
    """A scene with one thing of another colour, on the same background."""
    others = (other for other in scenes(rng) if other.kind == "one" and other.things[0].colour != scene.background)
    other = next(other for other in others if other.things[0].colour != scene.things[0].colour)
    return replace(other, background=scene.background)


def seen(made: object) -> NDArray[np.float32]:
    """Pixels from 0 to 1."""
    if not isinstance(made, Picture):
        raise TypeError(made)
    return unit(np.asarray(made.image))
