"""Trains `tiny-stable-audio`: an autoencoder of waveforms, then a denoiser of its latents that knows the words."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderOobleck,
    CosineDPMSolverMultistepScheduler,
    StableAudioDiTModel,
    StableAudioPipeline,
)
from diffusers.models.autoencoders.autoencoder_oobleck import OobleckDiagonalGaussianDistribution
from diffusers.models.embeddings import get_1d_rotary_pos_embed
from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioProjectionModel
from torch.nn import functional
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from training import filterbank, sounds
from training.loop import SEED, Stage, train
from training.words import tokenizer_for

CLIPS = 4000
"""Synthesised once, and learned from again and again."""
LONGEST_PROMPT = 24
"""In tokens, of which a word is one."""
LATENT_CHANNELS = 16
TEXT_WIDTH = 96
HEADS, HEAD_WIDTH, LAYERS = 4, 32, 4
AUTOENCODER_STEPS, AUTOENCODER_BATCH, CROP = 2000, 8, 8
DENOISER_STEPS, DENOISER_BATCH = 6000, 32
DIVERGENCE = 1e-4
UNCAPTIONED = 0.12
SIGMA_MIN, SIGMA_MAX = 0.03, 80.0
WINDOWS = (2048, 512, 128)
"""Samples of the spectra that the autoencoder's sound is compared by."""


@dataclass(frozen=True)
class Pool:
    """Clips with what was asked for: `samples` as `(clips, FRAMES * FRAME)`, sixteen bits each."""

    sounds: list[sounds.Sound]
    seconds: torch.Tensor
    samples: torch.Tensor


def make(checkpoints: Path, out: Path) -> None:
    """Trains from nothing, or from where `checkpoints` got to, and writes the pipeline to `out`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(SEED)
    pool = _pool()
    vae = _autoencoder().to(device)
    train(
        Stage(
            "autoencoder",
            _inner_layers(vae),
            lambda _, rng: _autoencoder_loss(vae, pool, rng),
            AUTOENCODER_STEPS,
            learning_rate=2e-3,
        ),
        checkpoints / "audio",
    )
    latents = _encode(vae, pool)
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
            lambda _, rng: _denoiser_loss(learned, tokenizer, scheduler.config.sigma_data, pool, latents, rng),
            DENOISER_STEPS,
            learning_rate=1.5e-3,
            average=0.998,
        ),
        checkpoints / "audio",
    )
    pipeline = StableAudioPipeline(vae=vae, tokenizer=tokenizer, scheduler=scheduler, **dict(learned.items()))
    pipeline.to(dtype=torch.float16).save_pretrained(out, safe_serialization=True)
    for weights in out.rglob("*.safetensors"):
        # Written for their owner alone, and read by whichever user a worker runs as.
        weights.chmod(0o644)


def _pool() -> Pool:
    made, seconds, samples = [], [], torch.empty((CLIPS, sounds.FRAMES * sounds.FRAME), dtype=torch.int16)
    for index in tqdm(range(CLIPS), desc="clips", mininterval=5):
        rng = np.random.default_rng((SEED, 1, index))
        made.append(sounds.draw_for_training(rng))
        seconds.append(sounds.LONGEST if rng.random() < 0.8 else rng.uniform(sounds.SHORTEST, sounds.LONGEST))
        clip = sounds.synthesise(made[-1], seconds[-1], rng)
        samples[index] = torch.from_numpy((clip * 32767).round().astype(np.int16))
    return Pool(made, torch.tensor(seconds, dtype=torch.float32), samples)


def _waveforms(samples: torch.Tensor, device: torch.device) -> torch.Tensor:
    return samples.to(device).unsqueeze(1).float() / 32767


def _autoencoder() -> Any:
    vae = AutoencoderOobleck(
        encoder_hidden_size=2 * LATENT_CHANNELS,
        downsampling_ratios=[8, 8, 8, 4],
        channel_multiples=[1, 2, 2, 4],
        decoder_channels=2 * LATENT_CHANNELS,
        decoder_input_channels=LATENT_CHANNELS,
        audio_channels=1,
        sampling_rate=sounds.SAMPLE_RATE,
    )
    filterbank.set_outer_layers(vae)
    with torch.no_grad():
        # Begun with little noise, or the decoder would learn first of all to do without the latents.
        vae.encoder.conv2.bias[LATENT_CHANNELS:] = -3.0
        # Normalised weights hold on to how they were computed and cannot be copied, until computed without gradients.
        vae(torch.zeros(1, 1, sounds.FRAME))
    return vae


def _inner_layers(vae: Any) -> torch.nn.ModuleList:
    """Those of the autoencoder that are learned."""
    encoder, decoder = vae.encoder, vae.decoder
    return torch.nn.ModuleList([*encoder.block[2:], encoder.snake1, encoder.conv2, decoder.conv1, *decoder.block[:2]])


def _autoencoder_loss(vae: Any, pool: Pool, rng: np.random.Generator) -> torch.Tensor:
    """Spectra, on logarithmic and linear scales, the waveform itself, and a little of the latents' divergence."""
    batch = torch.empty((AUTOENCODER_BATCH, CROP * sounds.FRAME), dtype=torch.int16)
    for row in batch:
        clip = rng.integers(len(pool.sounds))
        start = sounds.FRAME * int(rng.integers(sounds.FRAMES - CROP + 1))
        row.copy_(pool.samples[clip, start : start + CROP * sounds.FRAME])
    wanted = _waveforms(batch, vae.device)
    posterior = _posterior(vae, wanted)
    heard = _decode(vae, posterior.sample())
    spectra = sum(_spectral_distance(heard, wanted, window) for window in WINDOWS) / len(WINDOWS)
    waveform = functional.l1_loss(heard, wanted) / wanted.abs().mean()
    return spectra + waveform + DIVERGENCE * posterior.kl()


def _posterior(vae: Any, waveform: torch.Tensor) -> OobleckDiagonalGaussianDistribution:
    """What `vae.encode` gives, by the shorter way around the layers that only make the filterbank."""
    encoder = vae.encoder
    hidden = encoder.block[3](encoder.block[2](filterbank.analyse(waveform)))
    return OobleckDiagonalGaussianDistribution(encoder.conv2(encoder.snake1(hidden)))


def _decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """What `vae.decode` gives, by the same shorter way."""
    decoder = vae.decoder
    return filterbank.synthesise(decoder.block[1](decoder.block[0](decoder.conv1(latents))))


def _spectral_distance(heard: torch.Tensor, wanted: torch.Tensor, window: int) -> torch.Tensor:
    """After "Parallel WaveGAN", https://arxiv.org/abs/1910.11480, with a floor of about -50 dB under the logarithm."""
    shape = torch.hann_window(window, device=wanted.device)
    floor = 3e-3

    def spectrum(sound: torch.Tensor) -> torch.Tensor:
        bins = torch.stft(sound.squeeze(1), window, window // 4, window=shape, return_complex=True) / shape.sum()
        return (bins.real.square() + bins.imag.square() + floor**2).sqrt()

    a, b = spectrum(heard), spectrum(wanted)
    return 0.5 * (a.log() - b.log()).abs().mean() + torch.linalg.norm(a - b) / torch.linalg.norm(b)


@torch.no_grad()  # type: ignore[untyped-decorator]
def _encode(vae: Any, pool: Pool) -> torch.Tensor:
    """The means of the clips' latents, `(clips, channels, FRAMES)`."""
    batches = tqdm(pool.samples.split(32), desc="latents", mininterval=5)
    return torch.cat([_posterior(vae, _waveforms(batch, vae.device)).mode() for batch in batches])


def _tokenizer() -> PreTrainedTokenizerFast:
    rng = np.random.default_rng((SEED, 2))
    return tokenizer_for((sounds.prompt(sound, rng) for sound in sounds.every_sound() * 8), LONGEST_PROMPT)


def _denoiser(tokenizer: PreTrainedTokenizerFast) -> torch.nn.ModuleDict:
    """All that is learned in the second stage, under the names the pipeline has for it."""
    text_encoder = T5EncoderModel(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=TEXT_WIDTH,
            d_kv=24,
            d_ff=2 * TEXT_WIDTH,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
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


def _denoiser_loss(
    learned: Any,
    tokenizer: PreTrainedTokenizerFast,
    sigma_data: float,
    pool: Pool,
    latents: torch.Tensor,
    rng: np.random.Generator,
) -> torch.Tensor:
    """The preconditioned denoising of "Elucidating the Design Space of Diffusion-Based Generative Models".

    https://arxiv.org/abs/2206.00364, with the scalings of `CosineDPMSolverMultistepScheduler`: what the network gives
    is `v`, from which the scheduler computes the clean latents as `c_skip * noisy - c_out * v`.
    """
    picked = rng.integers(len(pool.sounds), size=DENOISER_BATCH)
    prompts = [sounds.prompt(sounds.said_of(pool.sounds[index], rng), rng) for index in picked]
    captions = ["" if rng.random() < UNCAPTIONED else text for text in prompts]
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
    words = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").to(scaled.device)
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
