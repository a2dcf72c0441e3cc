"""The shipped video model shows what it is asked for, of scenes it was not trained on."""

from gpu_worker.engine.shipped_models import SHIPPED
from training.scoring.running import Model
from training.scoring.video import mistakes
from training.scoring.video_grading import asked, seen

ASKED, LEAST_RIGHT = 24, 21


def test_held_out_prompts_can_be_seen() -> None:
    model = Model("tiny-video", SHIPPED / "tiny-ltx-video")
    wrong = {}
    for scene, prompt, seed in asked(ASKED, seed=2):
        if found := mistakes(seen(model(prompt=prompt, seed=seed)), scene):
            wrong[prompt] = found
    assert len(wrong) <= ASKED - LEAST_RIGHT, wrong
