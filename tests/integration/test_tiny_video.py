"""The shipped video model shows what it is asked for, in words it was not trained on."""

from itertools import islice

import numpy as np
import pytest
from gpu_worker.engine.tiny_models import SHIPPED
from training.motions import scenes
from training.scoring.running import Clip, Model
from training.scoring.video import mistakes

ASKED, LEAST_RIGHT = 12, 9

MODEL = SHIPPED / "tiny-ltx-video"


@pytest.mark.skipif(not (MODEL / "model_index.json").is_file(), reason="not trained yet: make train MEDIUM=video")
def test_held_out_prompts_are_shown() -> None:
    rng = np.random.default_rng(7)
    model = Model("tiny-video", MODEL)
    wrong = {}
    for seed, scene in enumerate(islice(scenes(rng, held_out=True), ASKED)):
        prompt = scene.prompt(rng)
        made = model(prompt=prompt, seed=seed)
        assert isinstance(made, Clip)
        if found := mistakes(made.frames.astype(np.float32), scene):
            wrong[prompt] = found
    assert len(wrong) <= ASKED - LEAST_RIGHT, wrong
