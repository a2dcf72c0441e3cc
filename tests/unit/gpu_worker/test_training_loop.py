"""Training can be stopped at any moment, and comes to the same end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training import loop
from training.loop import Stage, train

STEPS, STOPPED_AT = 12, 7


class Stopped(Exception):
    pass


class Drawn:
    """Some numbers for each step, and for which ones."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def __call__(self, step: int, rng: np.random.Generator) -> torch.Tensor:
        self.steps.append(step)
        return some_numbers(step, rng)


def a_stage() -> Stage[torch.Tensor]:
    """Learns to answer one, from numbers that are noisy."""
    torch.manual_seed(0)
    weights = torch.nn.Linear(3, 1)

    def loss(numbers: torch.Tensor) -> torch.Tensor:
        return (weights(numbers + 0.1 * torch.randn_like(numbers)) - 1).square().mean()

    return Stage("numbers", weights, some_numbers, loss, STEPS)


def some_numbers(_step: int, rng: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(rng.random((4, 3), np.float32))


def stopped_on_the_way(step: int, rng: np.random.Generator) -> torch.Tensor:
    if step == STOPPED_AT:
        raise Stopped
    return some_numbers(step, rng)


def test_what_was_stopped_ends_with_the_weights_of_what_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one_go, in_two = a_stage(), a_stage()
    train(in_one_go, tmp_path / "one")
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    with pytest.raises(Stopped):
        train(replace(a_stage(), draw=stopped_on_the_way), tmp_path / "two")
    drawn = Drawn()
    train(replace(in_two, draw=drawn), tmp_path / "two")
    assert drawn.steps == list(range(STOPPED_AT, STEPS))
    for one, two in zip(in_one_go.weights.parameters(), in_two.weights.parameters(), strict=True):
        assert torch.equal(one, two)


def test_what_is_finished_is_not_learned_again(tmp_path: Path) -> None:
    loss = train(a_stage(), tmp_path)
    drawn = Drawn()
    assert train(replace(a_stage(), draw=drawn), tmp_path) == loss
    assert drawn.steps == []


def test_weights_left_behind_are_the_average(tmp_path: Path) -> None:
    """Of those learned, which swing from step to step."""
    stage = a_stage()
    train(stage, tmp_path)
    saved = torch.load(tmp_path / "numbers.pt", weights_only=True)
    for name, kept in stage.weights.state_dict().items():
        assert torch.equal(kept, saved["averaged"][f"module.{name}"])
        assert not torch.equal(kept, saved["weights"][name])
