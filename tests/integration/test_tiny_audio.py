"""The shipped audio model, asked for sounds it was never trained on."""

from pathlib import Path

import gpu_worker.engine
import pytest
from contracts.catalog import read_catalog
from training import audio_exam, exam

PROMPTS = 12
RIGHT_AT_LEAST = 9
"""The grades beside the model are better; a dozen may be unlucky."""
SHIPPED = Path(gpu_worker.engine.__file__).parent.parent / "models" / "tiny-stable-audio"


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning", "ignore:Should have:UserWarning")
def test_most_of_what_it_makes_sounds_as_asked() -> None:
    [entry] = read_catalog(only=[audio_exam.MODEL]).models
    pipeline = exam.load(entry, SHIPPED)
    answers = [exam.answer(audio_exam, pipeline, question) for question in audio_exam.questions(PROMPTS, seed=2)]
    wrong = {answer.question.prompt: answer.faults for answer in answers if answer.faults}
    assert len(wrong) <= PROMPTS - RIGHT_AT_LEAST, wrong
