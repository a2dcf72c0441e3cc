"""Teaches a text encoder what prompts say, before a denoiser has to learn it from pictures at many times the price."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from training.loop import Stage
from training.words import tokens_of

STEPS = 700
BATCH = 48
SAMPLE = 3000


class Described(Protocol):
    @property
    def facts(self) -> Sequence[str]:
        """What there is to know of a scene, always as many and in the same order."""

    def prompt(self, rng: np.random.Generator) -> str: ...


Scenes = Callable[[np.random.Generator], Iterator[Described]]


class Reader(torch.nn.Module):  # type: ignore[misc]
    """A text encoder with a linear head for each fact, at every token that is to know all of them."""

    def __init__(
        self,
        text_encoder: torch.nn.Module,
        width: int,
        tokenizer: PreTrainedTokenizerFast,
        scenes: Scenes,
        causal: bool,
    ) -> None:
        super().__init__()
        self._text_encoder = text_encoder
        self._tokenizer = tokenizer
        self._scenes = scenes
        self._causal = causal
        seen = [scene.facts for scene in islice(scenes(np.random.default_rng(0)), SAMPLE)]
        self._names = [sorted(set(column)) for column in zip(*seen, strict=True)]
        self._heads = torch.nn.Linear(width, sum(map(len, self._names)))

    def loss(self, _step: int, rng: np.random.Generator) -> torch.Tensor:
        scenes = list(islice(self._scenes(rng), BATCH))
        read = tokens_of(self._tokenizer, [scene.prompt(rng) for scene in scenes]).to(self._heads.weight.device)
        guesses = self._heads(self._text_encoder(read.input_ids)[0])
        knowing = self._knowing(read)
        which = knowing.nonzero()[:, 0]
        losses = []
        columns = zip(*(scene.facts for scene in scenes), strict=True)
        parts = guesses[knowing].split([len(names) for names in self._names], dim=1)
        for guess, names, column in zip(parts, self._names, columns, strict=True):
            labels = torch.tensor([names.index(fact) for fact in column], device=which.device)
            losses.append(cross_entropy(guess, labels[which]))
        return torch.stack(losses).mean()

    def _knowing(self, read: Any) -> torch.Tensor:
        """(batch, tokens): from the end on if a token sees those before it only, else all that the denoiser sees."""
        return (
            (read.input_ids == self._tokenizer.eos_token_id) | (read.attention_mask == 0)
            if self._causal
            else (read.attention_mask == 1)
        )


def reading_stage(name: str, reader: Reader) -> Stage:
    return Stage(name, reader, reader.loss, STEPS, average=0.98)
