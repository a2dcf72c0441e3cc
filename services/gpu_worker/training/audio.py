"""Trains `tiny-stable-audio`: an autoencoder of waveforms, then a denoiser of its latents that knows the words."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import CosineDPMSolverMultistepScheduler, StableAudioDiTModel, StableAudioPipeline
from diffusers.models.embeddings import get_1d_rotary_pos_embed
from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioProjectionModel
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from training import audio_autoencoder, audio_clips, sounds
from training.audio_autoencoder import LATENT_CHANNELS
from training.audio_clips import Pool
from training.loop import SEED, Stage, train
from training.words import TEXT_WIDTH, text_encoder_for, tokenizer_for, tokens_of

LONGEST_PROMPT = 24
"""In tokens, of which a word is one."""
HEADS, HEAD_WIDTH, LAYERS = 4, 32, 4
DENOISER_STEPS, DENOISER_BATCH = 6000, 32
UNCAPTIONED = 0.12
SIGMA_MIN, SIGMA_MAX = 0.03, 80.0


def trained(folder: Path, device: torch.device) -> StableAudioPipeline:
    """The pipeline, trained from nothing, or gone on with in `folder` where it was stopped."""
    torch.manual_seed(SEED)
    pool = audio_clips.synthesise()
    vae = audio_autoencoder.untrained().to(device)
    audio_autoencoder.learn(vae, pool, folder / "audio")
    latents = audio_autoencoder.encode(vae, pool)
    scheduler = CosineDPMSolverMultistepScheduler(
        sigma_min=SIGMA_MIN, sigma_max=SIGMA_MAX, sigma_data=round(float(latents.square().mean().sqrt()), 3)
    )
    tokenizer = _tokenizer()
    torch.manual_seed(SEED)
    learned = _denoiser(tokenizer).to(device)
    train(
        Stage(
            "denoiser",
            learned,
            partial(_draw, pool),
            lambda drawn: _denoiser_loss(learned, tokenizer, scheduler.config.sigma_data, pool, latents, drawn),
            DENOISER_STEPS,
            learning_rate=1.5e-3,
            average=0.998,
        ),
        folder / "audio",
    )
    return StableAudioPipeline(vae=vae, tokenizer=tokenizer, scheduler=scheduler, **dict(learned.items()))


def _tokenizer() -> PreTrainedTokenizerFast:
    rng = np.random.default_rng((SEED, 2))
    return tokenizer_for((sounds.prompt(sound, rng) for sound in sounds.every_sound() * 8), LONGEST_PROMPT)


def _denoiser(tokenizer: PreTrainedTokenizerFast) -> torch.nn.ModuleDict:
    """All that is learned in the second stage, under the names the pipeline has for it."""
    text_encoder = text_encoder_for(tokenizer)
    transformer = StableAudioDiTModel(
        sample_size=sounds.FRAMES,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=LAYERS,
        attention_head_dim=HEAD_WIDTH,
        num_attention_heads=HEADS,
        num_key_value_attention_heads=HEADS,
        cross_attention_dim=TEXT_WIDTH,
        cross_attention_input_dim=TEXT_WIDTH,
        global_states_input_dim=2 * TEXT_WIDTH,
        time_proj_dim=64,
    )
    projection = StableAudioProjectionModel(
        text_encoder_dim=TEXT_WIDTH, conditioning_dim=TEXT_WIDTH, min_value=0, max_value=2
    )
    return torch.nn.ModuleDict(
        {"text_encoder": text_encoder, "projection_model": projection, "transformer": transformer}
    )


def _draw(pool: Pool, _step: int, rng: np.random.Generator) -> tuple[torch.Tensor, list[str]]:
    """Which clips of the pool, and what is said of them."""
    picked = rng.integers(len(pool.sounds), size=DENOISER_BATCH)
    prompts = [sounds.prompt(sounds.said_of(pool.sounds[index], rng), rng) for index in picked]
    captions = ["" if rng.random() < UNCAPTIONED else text for text in prompts]
    return torch.from_numpy(picked), captions


def _denoiser_loss(
    learned: Any,
    tokenizer: PreTrainedTokenizerFast,
    sigma_data: float,
    pool: Pool,
    latents: torch.Tensor,
    drawn: tuple[torch.Tensor, list[str]],
) -> torch.Tensor:
    """The preconditioned denoising of "Elucidating the Design Space of Diffusion-Based Generative Models".

    https://arxiv.org/abs/2206.00364, with the scalings of `CosineDPMSolverMultistepScheduler`: what the network gives
    is `v`, from which the scheduler computes the clean latents as `c_skip * noisy - c_out * v`.
    """
    picked, captions = drawn
    clean = latents[picked]
    spread = torch.randn(len(clean), 1, 1, device=clean.device)
    sigma = (sigma_data * (1.4 * spread + 0.7).exp()).clamp(SIGMA_MIN, SIGMA_MAX)
    noisy = clean + sigma * torch.randn_like(clean)
    scale = (sigma**2 + sigma_data**2).sqrt()
    c_skip, c_out = sigma_data**2 / scale**2, sigma * sigma_data / scale
    given = _predict(learned, tokenizer, noisy / scale, sigma.flatten(), captions, pool.seconds[picked])
    return functional.mse_loss(given, (c_skip * noisy - clean) / c_out)


def _predict(
    learned: Any,
    tokenizer: PreTrainedTokenizerFast,
    scaled: torch.Tensor,
    sigma: torch.Tensor,
    captions: list[str],
    seconds: torch.Tensor,
) -> torch.Tensor:
    """The networks called the way `StableAudioPipeline` calls them."""
    words = tokens_of(tokenizer, captions).to(scaled.device)
    text = learned["text_encoder"](words.input_ids, attention_mask=words.attention_mask)[0]
    text = learned["projection_model"](text_hidden_states=text).text_hidden_states
    text = text * words.attention_mask.unsqueeze(-1)
    times = seconds.to(scaled.device)
    durations = learned["projection_model"](start_seconds=torch.zeros_like(times), end_seconds=times)
    start, end = durations.seconds_start_hidden_states, durations.seconds_end_hidden_states
    return learned["transformer"](
        scaled,
        sigma.atan() / math.pi * 2,
        encoder_hidden_states=torch.cat([text, start, end], dim=1),
        global_hidden_states=torch.cat([start, end], dim=2),
        rotary_embedding=get_1d_rotary_pos_embed(
            HEAD_WIDTH // 2, scaled.shape[2] + 1, use_real=True, repeat_interleave_real=False
        ),
        return_dict=False,
    )[0]
