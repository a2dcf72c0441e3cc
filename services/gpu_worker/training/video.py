"""An LTX-Video of under three million parameters that shows the scenes of motions.py."""

from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXPipeline, LTXVideoTransformer3DModel
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from training import codes
from training.loop import SEED, Stage, half_precision, train
from training.motions import FRAME_RATE, HEIGHT, WIDTH, Scene, scenes
from training.reading import Reader, reading_stage
from training.video_autoencoder import autoencoder, stages
from training.words import TEXT_WIDTH, text_encoder_for, tokenizer_for, tokens_of

LONGEST_PROMPT = 32
HEADS, HEAD_WIDTH = 6, 32
OWN, TOWARDS_FIRST, TOWARDS_LAST = (0, 3, 6, 9, 12, 15), (18,), (36,)
"""Of the first three heads' pairs of numbers, some turned by time: the last almost a whole turn a latent."""
CERTAINTY = 8.0

POOL = 20_000
DENOISER_STEPS = 6000
DENOISER_BATCH = 64
EMPTY_PROMPTS = 0.12
"""The share of captions left out, for classifier-free guidance."""
FIRST_FRAMES_GIVEN = 0.4
FIRST_FRAME_NOISE = 0.1
SHIFT = 2.0
"""Of the noise levels towards the noisy ones, where it is settled what goes where."""


def trained(folder: Path, device: torch.device) -> LTXPipeline:
    """The pipeline, trained from nothing, or gone on with in `folder` where it was stopped."""
    torch.manual_seed(SEED)
    tokenizer = _tokenizer()
    vae, transformer = autoencoder().to(device), _transformer().to(device)
    text_encoder = text_encoder_for(tokenizer).to(device)
    reader = Reader(text_encoder, TEXT_WIDTH, tokenizer, scenes, causal=False).to(device)
    train(reading_stage("video-reading", reader), folder)
    pool, latents = _pool(vae)
    for stage in stages(vae):
        train(stage, folder)
    denoising = _Denoising(transformer, text_encoder, tokenizer, pool, latents)
    train(Stage("video-denoiser", transformer, denoising.draw, denoising.loss, DENOISER_STEPS, average=0.998), folder)
    return LTXPipeline(
        vae=vae.eval(),
        text_encoder=text_encoder.eval(),
        tokenizer=tokenizer,
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    rng = np.random.default_rng(SEED)
    return tokenizer_for([scene.prompt(rng) for scene in islice(scenes(rng), 5000)], LONGEST_PROMPT)


def _transformer() -> LTXVideoTransformer3DModel:
    transformer = LTXVideoTransformer3DModel(
        in_channels=codes.LENGTH,
        out_channels=codes.LENGTH,
        num_attention_heads=HEADS,
        attention_head_dim=HEAD_WIDTH,
        cross_attention_dim=HEADS * HEAD_WIDTH,
        num_layers=4,
        caption_channels=TEXT_WIDTH,
    )
    _tell_first_and_last(transformer)
    return transformer


def _tell_first_and_last(transformer: LTXVideoTransformer3DModel) -> None:
    """Sets, for good, what tells each latent how unlike the first of all it is, and how unlike the last.

    Positions are told by rotation only, by how far tokens are from each other. Which one is the first it can know from
    nothing but that it is like the first; from random weights that takes longer to find than all else.
    """
    width, block = HEADS * HEAD_WIDTH, transformer.transformer_blocks[0]
    attention, said, measures, measured = block.attn1, block.attn2.to_out[0], block.ff.net[0].proj, block.ff.net[2]
    axes = torch.linalg.qr(torch.randn(width, 3 * codes.LENGTH)).Q.T
    content, *unlike = axes.split(codes.LENGTH)
    transformer.proj_in.weight.data = (width / codes.LENGTH) ** 0.5 * content.T.clone()
    transformer.proj_in.bias.data.zero_()
    block.scale_shift_table.data[[2, 5]] = 1
    for head, pairs in enumerate((OWN, TOWARDS_FIRST, TOWARDS_LAST)):
        own = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
        for part in (attention.to_q, attention.to_k, attention.to_v):
            part.weight.data[own], part.bias.data[own] = 0, 0
        for pair in pairs:
            asked, told = 2 * pair, 2 * pair + (pairs is not OWN)
            attention.to_q.bias.data[asked] = attention.to_k.bias.data[told] = 1
            attention.norm_q.weight.data[asked] = attention.norm_k.weight.data[told] = CERTAINTY
        attention.to_v.weight.data[own][: codes.LENGTH] = content
        attention.to_out[0].weight.data[:, own] = 0
        into = attention.to_out[0].weight.data[:, own][:, : codes.LENGTH]
        into += sum(axis.T for axis in unlike) if head == 0 else -unlike[head - 1].T
    for number, axis in enumerate(unlike):
        units = slice(4 * number * codes.LENGTH, 4 * number * codes.LENGTH + 2 * codes.LENGTH)
        measures.weight.data[units] = 2 * torch.cat([axis, -axis])
        measures.bias.data[units] = 0
        measured.weight.data[:, units] = torch.randn(width, 1) / 24
    # What the prompt says, and what else is seen, is alike for all of them and not to be taken for a difference.
    away = torch.cat(unlike)
    for part in (said.weight, said.bias, attention.to_out[0].bias):
        part.data -= away.T @ (away @ part.data)
    others = attention.to_out[0].weight.data[:, 3 * HEAD_WIDTH :]
    others -= away.T @ (away @ others)
    for module in (transformer.proj_in, attention, said, measures):
        module.requires_grad_(False)


def _pool(vae: AutoencoderKLLTXVideo) -> tuple[list[Scene], torch.Tensor]:
    """Scenes and their normalised latents (scenes, moments, channels)."""
    rng = np.random.default_rng((SEED, 1))
    pool = list(islice(scenes(rng), POOL))
    told = torch.from_numpy(codes.codes(pool, [scene.path(rng) for scene in pool]))
    mean, std = told.mean((0, 1)), told.std((0, 1))
    vae.latents_mean.copy_(mean)
    vae.latents_std.copy_(std)
    return pool, (told - mean) / std


class _Drawn(NamedTuple):
    chosen: torch.Tensor
    """Which of the pool's clips."""
    prompts: list[str]
    level: torch.Tensor
    """How noisy clips are (batch, 1, 1), or each of their tokens (batch, tokens, 1) with a clean first frame."""
    frame_rate: int


class _Denoising:
    """Flow matching, https://arxiv.org/abs/2210.02747: the velocity from a clean clip to noise."""

    def __init__(
        self,
        transformer: LTXVideoTransformer3DModel,
        text_encoder: T5EncoderModel,
        tokenizer: PreTrainedTokenizerFast,
        pool: list[Scene],
        latents: torch.Tensor,
    ) -> None:
        self._transformer = transformer
        self._text_encoder = text_encoder
        self._tokenizer = tokenizer
        self._pool = pool
        self._tokens = latents.to(transformer.device)

    def draw(self, _step: int, rng: np.random.Generator) -> _Drawn:
        chosen = rng.integers(0, len(self._pool), DENOISER_BATCH)
        prompts = ["" if rng.random() < EMPTY_PROMPTS else self._pool[n].prompt(rng) for n in chosen]
        frame_rate = FRAME_RATE if rng.random() < 0.8 else int(rng.integers(4, 16))
        return _Drawn(torch.from_numpy(chosen), prompts, self._levels(rng), frame_rate)

    def _levels(self, rng: np.random.Generator) -> torch.Tensor:
        even = (np.arange(DENOISER_BATCH) + rng.random(DENOISER_BATCH)) / DENOISER_BATCH
        level = (SHIFT * even / (1 + (SHIFT - 1) * even))[:, None]
        if rng.random() < FIRST_FRAMES_GIVEN:
            level = np.tile(level, (1, self._tokens.shape[1]))
            level[:, 0] = 0
        return torch.from_numpy(level[..., None])

    def loss(self, drawn: _Drawn) -> torch.Tensor:
        clean = self._tokens[drawn.chosen]
        noise = torch.randn_like(clean)
        level = drawn.level.to(clean)
        given = (level == 0).expand_as(clean)
        # What the encoder makes of a first frame is not quite what it should be.
        seen = torch.where(given, clean + FIRST_FRAME_NOISE * noise, torch.lerp(clean, noise, level))
        predicted = self._predict(seen, level[..., 0] * 1000, drawn.prompts, drawn.frame_rate)
        return (predicted - (noise - clean))[~given].square().mean()

    def _predict(self, tokens: torch.Tensor, times: torch.Tensor, prompts: list[str], frame_rate: int) -> torch.Tensor:
        read = tokens_of(self._tokenizer, prompts).to(tokens.device)
        # The pipeline gives the text encoder no mask, but the transformer one: to it, what is masked is not there.
        longest = int(read.attention_mask.sum(1).max())
        with torch.no_grad():
            states = self._text_encoder(read.input_ids)[0][:, :longest]
        with half_precision(tokens.device):
            return self._transformer(
                hidden_states=tokens,
                encoder_hidden_states=states,
                encoder_attention_mask=read.attention_mask[:, :longest].bool(),
                timestep=times,
                num_frames=tokens.shape[1],
                height=1,
                width=1,
                rope_interpolation_scale=(codes.EVERY / frame_rate, WIDTH, HEIGHT),
            ).sample.float()
