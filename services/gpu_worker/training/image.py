"""A Stable Diffusion of about two million parameters that draws the scenes of shapes.py."""

from itertools import islice
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch.nn.functional import l1_loss, mse_loss
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from training.loop import SEED, Loss, Stage, train
from training.reading import Reader, reading_stage
from training.shapes import SIDE, Scene, render, scenes
from training.words import TEXT_WIDTH, tokenizer_for, tokens_of

LONGEST_PROMPT = 32
LATENT_CHANNELS = 8

AUTOENCODER_STEPS = 1600
CROP_SHARE = 0.6
CROP = 64
KL_WEIGHT = 1e-6

DECODER_STEPS = 600
LATENT_NOISE = 0.1
"""Of the deviation of latents: about what the denoiser leaves."""

POOL = 18_000
DENOISER_STEPS = 10_000
DENOISER_BATCH = 32
DRAWN = 0.7
"""So far from a picture's median a latent must be, in deviations, to be part of a shape."""
DRAWN_WEIGHT = 6.0
"""Shapes cover a tenth of a picture: with the weight of a background their outlines would be learned last."""
EMPTY_PROMPTS = 0.12
"""The share of captions left out, for classifier-free guidance."""


def trained(folder: Path, device: torch.device) -> StableDiffusionPipeline:
    """The pipeline, trained from nothing, or gone on with in `folder` where it was stopped."""
    torch.manual_seed(SEED)
    tokenizer = _tokenizer()
    vae = _autoencoder().to(device, memory_format=torch.channels_last)
    unet = _unet().to(device, memory_format=torch.channels_last)
    text_encoder = _text_encoder(tokenizer).to(device)
    scheduler = _scheduler()
    train(Stage("image-autoencoder", vae, _autoencoder_loss(vae), AUTOENCODER_STEPS, learning_rate=2e-3), folder)
    with torch.no_grad():
        pool, latents = _pool(vae, folder / "image-latents.pt")
    reader = Reader(text_encoder, TEXT_WIDTH, tokenizer, scenes, causal=True).to(device)
    train(reading_stage("image-reading", reader), folder)
    denoiser = torch.nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})
    loss = _Denoising(unet, text_encoder, tokenizer, scheduler, pool, latents)
    train(Stage("image-denoiser", denoiser, loss, DENOISER_STEPS, average=0.998), folder)
    train(Stage("image-decoder", vae.decoder, _decoder_loss(vae), DECODER_STEPS), folder)
    return StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=text_encoder.eval(),
        tokenizer=tokenizer,
        unet=unet.eval(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    rng = np.random.default_rng(SEED)
    prompts = [scene.prompt(rng) for scene in islice(scenes(rng), 5000)]
    return tokenizer_for(prompts, LONGEST_PROMPT, start="<s>")


def _autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 16, 32, 48),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=SIDE,
        # Attention at 16 by 16 costs time and finds nothing in flat shapes.
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE // 8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(48, 80),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=5,
        norm_num_groups=8,
        # The whole prompt in every layer's norms; cross attention alone takes many times as long to listen to it.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
    )


def _text_encoder(tokenizer: PreTrainedTokenizerFast) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=3 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LONGEST_PROMPT,
            projection_dim=TEXT_WIDTH,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def _scheduler() -> DDIMScheduler:
    """Down to a signal of nothing, so that plain backgrounds get the brightness they were asked for.

    Lin et al., Common Diffusion Noise Schedules and Sample Steps are Flawed, https://arxiv.org/abs/2305.08891.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        # Unused with this spacing; the pipeline warns of any other value.
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=True,
    )


def _autoencoder_loss(vae: AutoencoderKL) -> Loss:
    def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
        cropped = step < CROP_SHARE * AUTOENCODER_STEPS
        pictures = _as_input(render(list(islice(scenes(rng), 16 if cropped else 8)), rng), vae.device)
        if cropped:
            top, left = rng.integers(0, SIDE - CROP + 1, 2)
            pictures = pictures[:, :, top : top + CROP, left : left + CROP]
        posterior = vae.encode(pictures).latent_dist
        seen = vae.decode(posterior.sample()).sample
        return l1_loss(seen, pictures) + mse_loss(seen, pictures) + KL_WEIGHT * posterior.kl().mean()

    return loss


def _decoder_loss(vae: AutoencoderKL) -> Loss:
    """For the decoder alone, once the latents are what the denoiser knows: sharp pictures from inexact ones."""

    def loss(_step: int, rng: np.random.Generator) -> torch.Tensor:
        pictures = _as_input(render(list(islice(scenes(rng), 8)), rng), vae.device)
        with torch.no_grad():
            latents = vae.encode(pictures).latent_dist.mean
        seen = vae.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample
        return l1_loss(seen, pictures) + mse_loss(seen, pictures)

    return loss


def _as_input(pictures: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2) * 2 - 1


def _pool(vae: AutoencoderKL, path: Path) -> tuple[list[Scene], torch.Tensor]:
    """Scenes and their latents (scenes, channels, height, width); leaves the autoencoder's latents normalised."""
    rng = np.random.default_rng((SEED, 1))
    pool = list(islice(scenes(rng), POOL))
    if path.is_file():
        saved = torch.load(path, weights_only=True)
    else:
        batches = [pool[start : start + 50] for start in range(0, POOL, 50)]
        latents = torch.cat(
            [vae.encode(_as_input(render(batch, rng), vae.device)).latent_dist.mean.cpu() for batch in batches]
        )
        saved = {"latents": latents.half(), "mean": latents.mean((0, 2, 3)), "std": latents.std((0, 2, 3))}
        torch.save(saved, path)
    mean, std = saved["mean"], saved["std"]
    _normalise_latents(vae, mean.to(vae.device), std.to(vae.device))
    return pool, (saved["latents"].float() - mean[:, None, None]) / std[:, None, None]


def _normalise_latents(vae: AutoencoderKL, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Works each channel's mean and deviation into the convolutions around the latents.

    The pipeline has one scaling factor for all channels, and no shift.
    """
    channels = len(mean)
    into, out_of = vae.quant_conv, vae.post_quant_conv
    into.weight[:channels] /= std[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / std
    into.bias[channels:] -= 2 * std.log()
    out_of.bias += out_of.weight[:, :, 0, 0] @ mean
    out_of.weight *= std[None, :, None, None]


def _weights(latents: torch.Tensor) -> torch.Tensor:
    """What each place counts (batch, 1, height, width)."""
    medians = latents.flatten(2).median(-1).values[:, :, None, None]
    drawn = (latents - medians).abs().mean(1, keepdim=True) > DRAWN
    return torch.where(drawn, DRAWN_WEIGHT, 1.0)


class _Denoising:
    """The loss of predicting v, https://arxiv.org/abs/2202.00512, at times spread evenly over the batch."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerFast,
        scheduler: DDIMScheduler,
        pool: list[Scene],
        latents: torch.Tensor,
    ) -> None:
        self._unet = unet
        self._text_encoder = text_encoder
        self._tokenizer = tokenizer
        self._scheduler = scheduler
        self._pool = pool
        self._latents = latents.to(unet.device)

    def __call__(self, step: int, rng: np.random.Generator) -> torch.Tensor:
        chosen = rng.integers(0, len(self._pool), DENOISER_BATCH)
        prompts = ["" if rng.random() < EMPTY_PROMPTS else self._pool[n].prompt(rng) for n in chosen]
        clean = self._latents[chosen].contiguous(memory_format=torch.channels_last)
        noise = torch.randn_like(clean)
        spread = (np.arange(DENOISER_BATCH) + rng.random(DENOISER_BATCH)) / DENOISER_BATCH
        times = torch.from_numpy(spread * len(self._scheduler.betas)).long().to(clean.device)
        noisy = self._scheduler.add_noise(clean, noise, times)
        predicted = self._unet(noisy, times, self._read(prompts)).sample
        errors = (predicted - self._scheduler.get_velocity(clean, noise, times)).square()
        weights = _weights(clean)
        return (errors * weights).mean() / weights.mean()

    def _read(self, prompts: list[str]) -> torch.Tensor:
        tokens = tokens_of(self._tokenizer, prompts)
        return self._text_encoder(tokens.input_ids.to(self._text_encoder.device))[0]
