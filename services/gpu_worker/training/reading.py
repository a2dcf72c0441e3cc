"""Teaches a text encoder what prompts say, before a denoiser has to learn it from pictures at many times the price.

What it says of a prompt is a sum of codes, one for each fact and at right angles to all others: a denoiser tells them
apart from its first step on, the rare ones as soon as the frequent.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn.functional import cross_entropy, mse_loss
from transformers import PreTrainedTokenizerFast

from training.loop import Stage
from training.words import tokens_of

STEPS = 1500
BATCH = 48
SAMPLE = 3000
SHARPNESS = 3.0
"""What a fact's score is multiplied with, so that one that is certain costs nothing more."""


class Described(Protocol):
    @property
    def facts(self) -> Sequence[str]:
        """What there is to know of a scene, always as many and in the same order."""

    def prompt(self, rng: np.random.Generator) -> str: ...


Scenes = Callable[[np.random.Generator], Iterator[Described]]


class Reader(torch.nn.Module):  # type: ignore[misc]
    """A text encoder, and the codes of facts that are wanted at every token that is to know all of them."""

    def __init__(
        self,
        text_encoder: torch.nn.Module,
        width: int,
        tokenizer: PreTrainedTokenizerFast,
        scenes: Scenes,
        causal: bool,
        apart: Sequence[slice] = (),
    ) -> None:
        """`apart` are facts of which each of the last tokens says those of one slice alone."""
        super().__init__()
        self._text_encoder = text_encoder
        self._tokenizer = tokenizer
        self._scenes = scenes
        self._causal = causal
        self._apart = apart
        seen = [scene.facts for scene in islice(scenes(np.random.default_rng(0)), SAMPLE)]
        self._names = [sorted(set(column)) for column in zip(*seen, strict=True)]
        facts = [(column, name) for column, names in enumerate(self._names) for name in names]
        self._places = {fact: place for place, fact in enumerate(facts)}
        codes = torch.empty(len(self._places), width)
        torch.nn.init.orthogonal_(codes, gain=(width / len(self._names)) ** 0.5)
        self.register_buffer("codes", codes)

    def draw(self, _step: int, rng: np.random.Generator) -> tuple[list[str], torch.Tensor]:
        """Prompts, and the places of the facts that they state (prompts, facts)."""
        scenes = list(islice(self._scenes(rng), BATCH))
        places = torch.tensor([[self._places[key] for key in enumerate(scene.facts)] for scene in scenes])
        return [scene.prompt(rng) for scene in scenes], places

    def loss(self, drawn: tuple[list[str], torch.Tensor]) -> torch.Tensor:
        states, places, told = self._read(*drawn)
        wanted = (self.codes[places] * told[..., None]).sum(1)
        scores = SHARPNESS * states @ self.codes.T / self.codes.square().sum(1)
        losses = [mse_loss(states, wanted)]
        start = 0
        for column, saying, names in zip(places.T, told.T, self._names, strict=True):
            losses.append(cross_entropy(scores[saying, start : start + len(names)], column[saying] - start))
            start += len(names)
        return torch.stack(losses).mean()

    def _read(self, prompts: list[str], stated: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What the encoder makes of prompts (tokens, width), the places of its scene's facts (tokens, facts), and
        which of them the token is to say."""
        read = tokens_of(self._tokenizer, prompts).to(self.codes.device)
        knowing = self._knowing(read)
        states = self._text_encoder(read.input_ids)[0][knowing]
        prompt, token = knowing.nonzero().T
        return states, stated.to(states.device)[prompt], self._told(read.input_ids.shape[1]).to(states.device)[token]

    def _told(self, length: int) -> torch.Tensor:
        """Which facts a token is to say (tokens, facts)."""
        told = torch.ones(length, len(self._names), dtype=torch.bool)
        for place, facts in enumerate(self._apart, length - len(self._apart)):
            told[place] = False
            told[place, facts] = True
        return told

    def _knowing(self, read: Any) -> torch.Tensor:
        """(batch, tokens): from the end on if a token sees those before it only, else all that the denoiser sees."""
        return (
            (read.input_ids == self._tokenizer.eos_token_id) | (read.attention_mask == 0)
            if self._causal
            else (read.attention_mask == 1)
        )


def reading_stage(name: str, reader: Reader) -> Stage[tuple[list[str], torch.Tensor]]:
    return Stage(name, reader, reader.draw, reader.loss, STEPS, learning_rate=2e-3, average=0.98)
