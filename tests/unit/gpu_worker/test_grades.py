"""Grades, as they are counted and shown."""

from typing import Any

import numpy as np
import pytest
from training.scoring.grades import Grades
from training.scoring.sheets import Shown, contact_sheet


def test_counted_by_task_and_kind_and_in_all(capsys: pytest.CaptureFixture[str]) -> None:
    grades = Grades()
    grades.note("from text", "pair", "a red circle above a blue one", [])
    grades.note("from text", "one", "a red circle", ["blue instead of red", "2 shapes"])
    grades.note("from text", "one", "a red square", [])
    grades.note("from image", "one", "a green square", [])
    assert list(grades.rows()) == [
        ("from text", "one", 1, 2),
        ("from text", "pair", 1, 1),
        ("from text", "all", 2, 3),
        ("from image", "one", 1, 1),
        ("from image", "all", 1, 1),
    ]
    assert capsys.readouterr().out == "a red circle: blue instead of red, 2 shapes\n"


def test_a_contact_sheet_says_in_red_what_is_wrong() -> None:
    tile = np.full((20, 60, 3), 0.5, np.float32)
    shown = [Shown(tile, "a grey picture", []), Shown(tile, "a blue picture", ["grey"])]
    sheet = np.asarray(contact_sheet(shown, columns=2).convert("RGB"), int)
    right, wrong = np.split(sheet[:, 3:-3], 2, axis=1)
    assert (right < 100).any() and redness(right) < 10
    assert redness(wrong) > 150


def redness(picture: np.ndarray[Any, Any]) -> int:
    """Of its reddest pixel."""
    return int((picture[..., 0] - picture[..., 1:].max(axis=-1)).max())
