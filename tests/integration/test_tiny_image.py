"""The shipped image model shows what it is asked for, of scenes it was not trained on."""

from itertools import islice

import numpy as np
import pytest
import torch
from gpu_worker.engine.shipped_models import SHIPPED
from training.image_autoencoder import latents_of
from training.scoring.image import mistakes
from training.scoring.image_grading import asked, seen
from training.scoring.running import Model
from training.shapes import render, scenes

ASKED, LEAST_RIGHT = 24, 20


@pytest.fixture(scope="module")
def model() -> Model:
    return Model("tiny-image", SHIPPED / "tiny-stable-diffusion")


def test_held_out_prompts_can_be_seen(model: Model) -> None:
    wrong = {}
    for scene, prompt, seed in asked(ASKED, seed=2):
        if found := mistakes(seen(model(prompt=prompt, seed=seed)), scene):
            wrong[prompt] = found
    assert len(wrong) <= ASKED - LEAST_RIGHT, wrong


def test_its_encoder_makes_the_latents_it_was_trained_on(model: Model) -> None:
    rng = np.random.default_rng(0)
    pictures = torch.from_numpy(render(list(islice(scenes(rng), 4)), rng))
    with torch.no_grad():
        encoded = model.pipeline.vae.encode(pictures.permute(0, 3, 1, 2) * 2 - 1).latents
    torch.testing.assert_close(encoded, latents_of(pictures), atol=2e-3, rtol=0)
