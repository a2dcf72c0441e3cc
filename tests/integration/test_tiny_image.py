"""The shipped image model draws what it is asked for, in words it was not trained on."""

from itertools import islice

import numpy as np
import pytest
from gpu_worker.engine.tiny_models import SHIPPED
from training.drawing import unit
from training.scoring.image import mistakes
from training.scoring.running import Model, Picture
from training.shapes import scenes

ASKED, LEAST_RIGHT = 12, 10

MODEL = SHIPPED / "tiny-stable-diffusion"


@pytest.mark.skipif(not (MODEL / "model_index.json").is_file(), reason="not trained yet: make train MEDIUM=image")
def test_held_out_prompts_are_drawn() -> None:
    rng = np.random.default_rng(7)
    model = Model("tiny-image", MODEL)
    wrong = {}
    for seed, scene in enumerate(islice(scenes(rng, held_out=True), ASKED)):
        prompt = scene.prompt(rng)
        made = model(prompt=prompt, seed=seed)
        assert isinstance(made, Picture)
        if found := mistakes(unit(np.asarray(made.image)), scene):
            wrong[prompt] = found
    assert len(wrong) <= ASKED - LEAST_RIGHT, wrong
