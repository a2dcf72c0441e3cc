"""By what a repeated request is known."""

from typing import Any

import pytest
from contracts.identifiers import task_id_for
from submission.domain import request_digest

ASKED: dict[str, Any] = {"model": "tiny-image", "params": {"prompt": "a red circle", "width": 128}}
EDIT = {"model": "tiny-image-edit", "params": {"prompt": "a red circle"}}
FILE = task_id_for("p", "keyframe")


@pytest.mark.parametrize(
    "other",
    [
        {"priority": "high"},
        {"params": {"prompt": "a blue circle", "width": 128}},
        {"params": {"prompt": "a red circle", "width": 128, "steps": 3}},
        {"model": "tiny-audio"},
        {"tags": ["one"]},
        {"title": "one"},
        {"client_ref": "one"},
        {"expires_at": "2026-01-01T00:00:00Z"},
    ],
)
def test_whatever_else_is_asked_is_another_request(other: dict[str, Any]) -> None:
    assert request_digest(ASKED) != request_digest(ASKED | other)


def test_other_inputs_are_another_request_and_so_are_tasks_instead_of_files() -> None:
    inputs = [{"image": FILE}, {"image": task_id_for("p", "other")}, {"image": {"from_task": FILE}}]
    assert len({request_digest(EDIT | {"inputs": given}) for given in inputs}) == 3


def test_the_order_of_what_is_said_does_not_count() -> None:
    turned = {"params": {"width": 128, "prompt": "a red circle"}, "model": "tiny-image"}
    assert request_digest(ASKED) == request_digest(turned)
