"""A training loop that can be stopped at any moment and goes on where it was.

Everything random is drawn from the seed and the number of the step, so a run that was interrupted
ends with the weights of one that was not.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

SEED = 20260101
SAVE_EVERY_SECONDS = 60.0
WARM_UP_STEPS = 100

Batch = TypeVar("Batch")

DRAWING_PROCESSES = 4
"""That draw the next steps' batches while a GPU computes this one's. On a CPU they would be in its way."""


def half_precision(device: torch.device) -> torch.autocast:
    """For what a model computes; twice as fast on recent CPUs as well, and weights and their averages stay exact."""
    return torch.autocast(device.type, torch.bfloat16)


@dataclass(frozen=True)
class Stage(Generic[Batch]):
    """One thing learned in one go: which weights, for how many steps, by what loss."""

    name: str
    weights: torch.nn.Module
    draw: Callable[[int, np.random.Generator], Batch]
    """What the step with this number is to learn from."""
    loss: Callable[[Batch], torch.Tensor]
    """What is random in it comes from torch's own generator, which is seeded for each step."""
    steps: int
    learning_rate: float = 1e-3
    average: float = 0.995
    """How slowly the averaged weights, which are the ones kept, follow the learned ones."""


class _Batches(Generic[Batch]):
    """Of a stage's steps, for PyTorch's loader."""

    def __init__(self, stage: Stage[Batch]) -> None:
        self._draw = stage.draw

    def __getitem__(self, step: int) -> Batch:
        return self._draw(step, np.random.default_rng((SEED, step)))


def train(stage: Stage[Any], folder: Path) -> float:
    """Trains `stage.weights` in place, leaves them averaged, and returns the mean loss of the last hundred steps.

    Resumes from `folder`, and returns at once when the stage was finished there before.
    """
    path = folder / f"{stage.name}.pt"
    averaged = AveragedModel(stage.weights, multi_avg_fn=get_ema_multi_avg_fn(stage.average), use_buffers=False)
    optimizer = torch.optim.AdamW(stage.weights.parameters(), lr=stage.learning_rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, stage.steps))
    parts = {"weights": stage.weights, "averaged": averaged, "optimizer": optimizer, "schedule": schedule}
    done, losses = _load(path, parts)
    device = next(stage.weights.parameters()).device
    steps, drawing = range(done, stage.steps), 0 if device.type == "cpu" else DRAWING_PROCESSES
    batches = DataLoader(_Batches(stage), batch_size=None, sampler=steps, num_workers=drawing)
    saved_at = time.monotonic()
    with (
        _attention_quick_both_ways(device),
        tqdm(total=stage.steps, initial=done, desc=stage.name, mininterval=5, smoothing=0.05) as bar,
    ):
        for step, batch in zip(steps, batches, strict=True):
            torch.manual_seed(SEED + step)
            loss = stage.loss(batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(stage.weights.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(stage.weights)
            losses = [*losses[-99:], loss.item()]
            bar.update()
            bar.set_postfix(loss=f"{np.mean(losses):.4f}", refresh=False)
            if time.monotonic() - saved_at > SAVE_EVERY_SECONDS or step + 1 == stage.steps:
                _save(path, parts, step + 1, losses)
                saved_at = time.monotonic()
    stage.weights.load_state_dict(averaged.module.state_dict())
    return float(np.mean(losses))


def _attention_quick_both_ways(device: torch.device) -> AbstractContextManager[None]:
    """On a CPU the plain one: the way back of the fused one takes ten times as long there."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _pace(step: int, steps: int) -> float:
    """The learning rate's factor: up in a straight line, down along a cosine."""
    if step < WARM_UP_STEPS:
        return (step + 1) / WARM_UP_STEPS
    return 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * min(1.0, step / steps))))


def _save(path: Path, parts: dict[str, Any], done: int, losses: list[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    torch.save({name: part.state_dict() for name, part in parts.items()} | {"done": done, "losses": losses}, partial)
    partial.replace(path)


def _load(path: Path, parts: dict[str, Any]) -> tuple[int, list[float]]:
    if not path.is_file():
        return 0, []
    saved = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return int(saved["done"]), list(saved["losses"])
