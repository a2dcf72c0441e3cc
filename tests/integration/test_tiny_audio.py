"""The shipped audio model makes what it is asked for, of sounds it was not trained on."""

import pytest
from gpu_worker.engine.shipped_models import SHIPPED
from training.scoring.audio import faults
from training.scoring.audio_grading import asked, heard
from training.scoring.running import Model

ASKED, LEAST_RIGHT = 12, 9


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning", "ignore:Should have:UserWarning")
def test_held_out_prompts_can_be_heard() -> None:
    model = Model("tiny-audio", SHIPPED / "tiny-stable-audio")
    wrong = {}
    for sound, prompt, seed in asked(ASKED, seed=2):
        if found := faults(heard(model(prompt=prompt, seed=seed)), sound):
            wrong[prompt] = found
    assert len(wrong) <= ASKED - LEAST_RIGHT, wrong
