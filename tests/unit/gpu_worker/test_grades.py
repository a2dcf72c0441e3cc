"""Grades, as they are counted."""

import pytest
from training.scoring.grades import Grades


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
