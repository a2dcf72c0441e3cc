"""A Stable Diffusion of under five million parameters that draws the scenes of shapes.py."""

from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch.nn.functional import mse_loss
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from training.image_autoencoder import CELL, LATENT_CHANNELS, autoencoder, decoder_stage, latents_of
from training.loop import SEED, Stage, half_precision, train
from training.reading import Reader, reading_stage
from training.shapes import SIDE, THINGS, Scene, render, scenes
from training.words import TEXT_WIDTH, tokenizer_for, tokens_of

LONGEST_PROMPT = 32
DENOISER_STEPS = 11_000
DENOISER_BATCH = 32
EMPTY_PROMPTS = 0.1
"""The share of captions left out, for classifier-free guidance."""


def trained(folder: Path, device: torch.device) -> StableDiffusionPipeline:
    """The pipeline, trained from nothing, or gone on with in `folder` where it was stopped."""
    torch.manual_seed(SEED)
    tokenizer = _tokenizer()
    vae = autoencoder().to(device, memory_format=torch.channels_last)
    unet = _unet().to(device, memory_format=torch.channels_last)
    text_encoder = _text_encoder(tokenizer).to(device)
    scheduler = _scheduler()
    reader = Reader(text_encoder, TEXT_WIDTH, tokenizer, scenes, causal=True, apart=THINGS).to(device)
    train(reading_stage("image-reading", reader), folder)
    train(decoder_stage("image-decoder", vae), folder)
    denoising = _Denoising(unet, text_encoder, tokenizer, scheduler)
    train(
        Stage("image-denoiser", unet, _draw, denoising.loss, DENOISER_STEPS, learning_rate=1.5e-3, average=0.999),
        folder,
    )
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


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE // CELL,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(48, 96, 128),
        layers_per_block=1,
        # Where things are as large as a place, each place listens to what is said of the thing that is there.
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
        time_embedding_dim=192,
        # The whole prompt in every layer's norms as well: cross attention alone takes many times as long to hear it.
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


def _weight(scene: Scene) -> float:
    """The smaller a thing, the less of the picture tells what it is.

    By what the prompt says alone: what else differs must weigh alike, or a mean over it leans to what weighs more.
    """
    return float(scene.smallest**-1.5)


class _Drawn(NamedTuple):
    """Latents, prompts, and what each scene counts."""

    clean: torch.Tensor
    prompts: list[str]
    weights: torch.Tensor


def _draw(_step: int, rng: np.random.Generator) -> _Drawn:
    chosen = list(islice(scenes(rng), DENOISER_BATCH))
    prompts = ["" if rng.random() < EMPTY_PROMPTS else scene.prompt(rng) for scene in chosen]
    clean = latents_of(torch.from_numpy(render(chosen, rng)))
    return _Drawn(clean, prompts, torch.tensor([_weight(scene) for scene in chosen]))


class _Denoising:
    """Predicts v, https://arxiv.org/abs/2202.00512, most often at noisy times."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerFast,
        scheduler: DDIMScheduler,
    ) -> None:
        self._unet = unet
        # Half as many steps again in the same time on a CPU, if it does not put the fused attention in again.
        self._predict = torch.compile(unet, options={"pattern_matcher": False})
        self._text_encoder = text_encoder
        self._tokenizer = tokenizer
        self._scheduler = scheduler

    def loss(self, drawn: _Drawn) -> torch.Tensor:
        clean = drawn.clean.to(self._unet.device, memory_format=torch.channels_last)
        noise, times = torch.randn_like(clean), self._times().to(clean.device)
        noisy = self._scheduler.add_noise(clean, noise, times)
        with half_precision(clean.device):
            predicted = self._predict(noisy, times, self._read(drawn.prompts)).sample
        errors = mse_loss(predicted.float(), self._scheduler.get_velocity(clean, noise, times), reduction="none")
        weights = drawn.weights.to(clean.device)
        return (errors.mean((1, 2, 3)) * weights).sum() / weights.sum()

    def _times(self) -> torch.Tensor:
        """Half of them in the noisiest quarter, where nothing but the prompt can tell colours and shapes."""
        even = (torch.arange(DENOISER_BATCH) + torch.rand(DENOISER_BATCH)) / DENOISER_BATCH
        last = len(self._scheduler.betas) - 1
        return ((1 - even.square()) * last).round().long()

    def _read(self, prompts: list[str]) -> torch.Tensor:
        tokens = tokens_of(self._tokenizer, prompts)
        with torch.no_grad():
            return self._text_encoder(tokens.input_ids.to(self._text_encoder.device))[0]
