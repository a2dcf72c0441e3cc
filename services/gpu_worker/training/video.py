"""An LTX-Video of under three million parameters that shows the scenes of motions.py."""

from itertools import islice
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXPipeline, LTXVideoTransformer3DModel
from torch.nn.functional import l1_loss, mse_loss
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from training.loop import SEED, Loss, Stage, train
from training.motions import FRAME_RATE, Scene, render, render_pieces, scenes
from training.reading import Reader, reading_stage
from training.words import TEXT_WIDTH, text_encoder_for, tokenizer_for, tokens_of

LONGEST_PROMPT = 128
LATENT_CHANNELS = 32

AUTOENCODER_STEPS = 2000
SMALL_PIECES_SHARE = 0.7
KL_WEIGHT = 1e-6
FIRST_LOG_VARIANCE = -6.0

DECODER_STEPS = 600
LATENT_NOISE = 0.1
"""Of the deviation of latents: about what the denoiser leaves."""

POOL = 2500
DENOISER_STEPS = 1800
DENOISER_BATCH = 16
EMPTY_PROMPTS = 0.12
"""The share of captions left out, for classifier-free guidance."""
FIRST_FRAMES_GIVEN = 0.5
SHIFT = 2.0
"""Of the noise levels towards the noisy ones, where it is settled what goes where."""


def trained(folder: Path, device: torch.device) -> LTXPipeline:
    """The pipeline, trained from nothing, or gone on with in `folder` where it was stopped."""
    torch.manual_seed(SEED)
    tokenizer = _tokenizer()
    vae, transformer = _autoencoder().to(device), _transformer().to(device)
    text_encoder = text_encoder_for(tokenizer).to(device)
    train(Stage("video-autoencoder", vae, _autoencoder_loss(vae), AUTOENCODER_STEPS, learning_rate=8e-4), folder)
    with torch.no_grad():
        pool, latents = _pool(vae, folder / "video-latents.pt")
    reader = Reader(text_encoder, TEXT_WIDTH, tokenizer, scenes, causal=False).to(device)
    train(reading_stage("video-reading", reader), folder)
    denoiser = torch.nn.ModuleDict({"transformer": transformer, "text_encoder": text_encoder})
    loss = _Denoising(transformer, text_encoder, tokenizer, pool, latents)
    train(Stage("video-denoiser", denoiser, loss, DENOISER_STEPS, average=0.998), folder)
    train(Stage("video-decoder", vae.decoder, _decoder_loss(vae), DECODER_STEPS, learning_rate=8e-4), folder)
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


def _autoencoder() -> AutoencoderKLLTXVideo:
    """Sixteen by sixteen pixels and four frames a token; causal both ways, so that any length will do."""
    vae = AutoencoderKLLTXVideo(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(32, 32, 64),
        down_block_types=("LTXVideo095DownBlock3D",) * 2,
        layers_per_block=(0, 1, 1),
        spatio_temporal_scaling=(True,) * 2,
        downsample_type=("spatiotemporal",) * 2,
        decoder_block_out_channels=(32, 48),
        decoder_layers_per_block=(1, 1, 1),
        decoder_spatio_temporal_scaling=(True,) * 2,
        decoder_inject_noise=(False,) * 3,
        upsample_residual=(True,) * 2,
        upsample_factor=(1,) * 2,
        patch_size=4,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=True,
    )
    _initialise(vae)
    return vae


def _initialise(vae: AutoencoderKLLTXVideo) -> None:
    """Lets what goes in come out at the first step, where PyTorch's own weights would shrink it to nothing."""
    for module in vae.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            torch.nn.init.zeros_(module.bias)
    # Without them the norms, which know no more than a vector's direction, take white for a light grey.
    for first in (vae.encoder.conv_in.conv, vae.decoder.conv_in.conv):
        torch.nn.init.normal_(first.bias, std=0.7)
    variance = vae.encoder.conv_out.conv
    torch.nn.init.zeros_(variance.weight.data[-1])
    torch.nn.init.constant_(variance.bias.data[-1:], FIRST_LOG_VARIANCE)


def _transformer() -> LTXVideoTransformer3DModel:
    return LTXVideoTransformer3DModel(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=4,
        attention_head_dim=28,
        cross_attention_dim=4 * 28,
        num_layers=4,
        caption_channels=TEXT_WIDTH,
    )


def _autoencoder_loss(vae: AutoencoderKLLTXVideo) -> Loss:
    def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
        # Small pieces teach the most at first, and cost a sixth.
        count, frames, side = (16, 5, 32) if step < SMALL_PIECES_SHARE * AUTOENCODER_STEPS else (8, 17, 64)
        pieces = render_pieces(list(islice(scenes(rng), count)), rng, frames, side)
        clips = _as_input(pieces, vae.device)
        posterior = vae.encode(clips).latent_dist
        seen = vae.decode(posterior.sample()).sample
        return l1_loss(seen, clips) + mse_loss(seen, clips) + KL_WEIGHT * posterior.kl().mean()

    return loss


def _decoder_loss(vae: AutoencoderKLLTXVideo) -> Loss:
    """For the decoder alone, once the latents are what the denoiser knows: sharp clips from inexact ones."""

    def loss(_step: int, rng: np.random.Generator) -> torch.Tensor:
        clips = _as_input(render_pieces(list(islice(scenes(rng), 8)), rng, 17, 64), vae.device)
        with torch.no_grad():
            latents = vae.encode(clips).latent_dist.mean
        noise = vae.latents_std[:, None, None, None] * torch.randn_like(latents)
        seen = vae.decode(latents + LATENT_NOISE * noise).sample
        return l1_loss(seen, clips) + mse_loss(seen, clips)

    return loss


def _as_input(clips: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(clips).to(device).permute(0, 4, 1, 2, 3) * 2 - 1


def _pool(vae: AutoencoderKLLTXVideo, path: Path) -> tuple[list[Scene], torch.Tensor]:
    """Scenes and their normalised latents (scenes, channels, frames, height, width)."""
    rng = np.random.default_rng((SEED, 1))
    pool = list(islice(scenes(rng), POOL))
    if path.is_file():
        latents = torch.load(path, weights_only=True)
    else:
        batches = [pool[start : start + 20] for start in range(0, POOL, 20)]
        latents = torch.cat(
            [vae.encode(_as_input(render(batch, rng), vae.device)).latent_dist.mean.half().cpu() for batch in batches]
        )
        torch.save(latents, path)
    latents = latents.float()
    mean, std = latents.mean((0, 2, 3, 4)), latents.std((0, 2, 3, 4))
    vae.latents_mean.copy_(mean)
    vae.latents_std.copy_(std)
    return pool, (latents - mean[:, None, None, None]) / std[:, None, None, None]


class _Denoising:
    """The loss of flow matching, https://arxiv.org/abs/2210.02747: the velocity from a clean clip to noise."""

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
        self._frames, self._height, self._width = latents.shape[2:]
        self._tokens = latents.flatten(2).transpose(1, 2).contiguous().to(transformer.device)

    def __call__(self, step: int, rng: np.random.Generator) -> torch.Tensor:
        chosen = rng.integers(0, len(self._pool), DENOISER_BATCH)
        prompts = ["" if rng.random() < EMPTY_PROMPTS else self._pool[n].prompt(rng) for n in chosen]
        clean = self._tokens[chosen]
        noise = torch.randn_like(clean)
        level = self._levels(rng).to(clean)
        predicted = self._predict(torch.lerp(clean, noise, level), level[..., 0] * 1000, prompts, rng)
        noisy = (level > 0).expand_as(clean)
        return (predicted - (noise - clean))[noisy].square().mean()

    def _levels(self, rng: np.random.Generator) -> torch.Tensor:
        """How noisy clips are (batch, 1, 1), or each of their tokens (batch, tokens, 1) with a clean first frame."""
        even = (np.arange(DENOISER_BATCH) + rng.random(DENOISER_BATCH)) / DENOISER_BATCH
        level = (SHIFT * even / (1 + (SHIFT - 1) * even))[:, None]
        if rng.random() < FIRST_FRAMES_GIVEN:
            level = np.tile(level, (1, self._tokens.shape[1]))
            level[:, : self._height * self._width] = 0
        return torch.from_numpy(level[..., None])

    def _predict(
        self, tokens: torch.Tensor, times: torch.Tensor, prompts: list[str], rng: np.random.Generator
    ) -> torch.Tensor:
        frame_rate = FRAME_RATE if rng.random() < 0.8 else int(rng.integers(4, 16))
        read = tokens_of(self._tokenizer, prompts).to(tokens.device)
        # The pipeline gives the text encoder no mask, but the transformer one: to it, what is masked is not there.
        longest = int(read.attention_mask.sum(1).max())
        return self._transformer(
            hidden_states=tokens,
            encoder_hidden_states=self._text_encoder(read.input_ids)[0][:, :longest],
            encoder_attention_mask=read.attention_mask[:, :longest].bool(),
            timestep=times,
            num_frames=self._frames,
            height=self._height,
            width=self._width,
            rope_interpolation_scale=(4 / frame_rate, 16, 16),
        ).sample
