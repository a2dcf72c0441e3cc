"""The autoencoder of the audio model: which of its layers are learned, and from what."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderOobleck
from diffusers.models.autoencoders.autoencoder_oobleck import OobleckDiagonalGaussianDistribution
from torch.nn import functional
from tqdm import tqdm

from training import filterbank, sounds
from training.audio_clips import Pool, waveforms
from training.loop import Stage, train

LATENT_CHANNELS = 16
STEPS, DECODER_STEPS = 2000, 2000
BATCH, CROP = 8, 8
"""Crops to a step, and the frames of each."""
DIVERGENCE = 1e-4
WINDOWS = (2048, 512, 128)
"""Samples of the spectra that the autoencoder's sound is compared by."""


def untrained() -> Any:
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
    return vae


def learn(vae: Any, pool: Pool, checkpoints: Path) -> None:
    """First all of it, by what it finds important; then the decoder alone, to get out of that what it can."""
    crops = partial(_crops, pool)
    train(
        Stage(
            "autoencoder",
            _copyable(_inner_layers(vae), vae),
            crops,
            lambda drawn: _autoencoder_loss(vae, drawn),
            STEPS,
            learning_rate=2e-3,
        ),
        checkpoints,
    )
    train(
        Stage(
            "decoder",
            _copyable(_decoder_layers(vae), vae),
            crops,
            lambda drawn: _decoder_loss(vae, drawn),
            DECODER_STEPS,
        ),
        checkpoints,
    )


def _decoder_layers(vae: Any) -> torch.nn.ModuleList:
    return torch.nn.ModuleList([vae.decoder.conv1, *vae.decoder.block[:2]])


def _inner_layers(vae: Any) -> torch.nn.ModuleList:
    """Those of the autoencoder that are learned."""
    encoder, decoder = vae.encoder, vae.decoder
    return torch.nn.ModuleList([*encoder.block[2:], encoder.snake1, encoder.conv2, decoder.conv1, *decoder.block[:2]])


def _copyable(layers: torch.nn.ModuleList, vae: Any) -> torch.nn.ModuleList:
    """The layers, ready for an average of their weights to be begun.

    Normalised weights hold on to how they were computed, and cannot be copied until computed without gradients.
    """
    with torch.no_grad():
        vae(torch.zeros(1, 1, sounds.FRAME, device=vae.device))
    return layers


def _crops(pool: Pool, _step: int, rng: np.random.Generator) -> torch.Tensor:
    batch = torch.empty((BATCH, CROP * sounds.FRAME), dtype=torch.int16)
    for row in batch:
        clip = rng.integers(len(pool.sounds))
        start = sounds.FRAME * int(rng.integers(sounds.FRAMES - CROP + 1))
        row.copy_(pool.samples[clip, start : start + CROP * sounds.FRAME])
    return batch


def _autoencoder_loss(vae: Any, crops: torch.Tensor) -> torch.Tensor:
    wanted = waveforms(crops, vae.device)
    found = posterior(vae, wanted)
    return _distance(decode(vae, found.sample()), wanted, weight=0.5, floor=3e-3) + DIVERGENCE * found.kl()


def _decoder_loss(vae: Any, crops: torch.Tensor) -> torch.Tensor:
    """With more ear for what is soft: the higher harmonics, and the silence between beeps."""
    wanted = waveforms(crops, vae.device)
    with torch.no_grad():
        latents = posterior(vae, wanted).sample()
    return _distance(decode(vae, latents), wanted, weight=1.0, floor=1e-3)


def _distance(heard: torch.Tensor, wanted: torch.Tensor, weight: float, floor: float) -> torch.Tensor:
    """Of the waveforms, and of their spectra; of these also the logarithms, by `weight`."""
    spectra = sum(_spectral_distance(heard, wanted, window, weight, floor) for window in WINDOWS) / len(WINDOWS)
    return spectra + functional.l1_loss(heard, wanted) / wanted.abs().mean()


def posterior(vae: Any, waveform: torch.Tensor) -> OobleckDiagonalGaussianDistribution:
    """What `vae.encode` gives, by the shorter way around the layers that only make the filterbank."""
    encoder = vae.encoder
    hidden = encoder.block[3](encoder.block[2](filterbank.analyse(waveform)))
    return OobleckDiagonalGaussianDistribution(encoder.conv2(encoder.snake1(hidden)))


def decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """What `vae.decode` gives, by the same shorter way."""
    decoder = vae.decoder
    return filterbank.synthesise(decoder.block[1](decoder.block[0](decoder.conv1(latents))))


def _spectral_distance(
    heard: torch.Tensor, wanted: torch.Tensor, window: int, weight: float, floor: float
) -> torch.Tensor:
    """After "Parallel WaveGAN", https://arxiv.org/abs/1910.11480; nothing under `floor` counts for the logarithms."""
    shape = torch.hann_window(window, device=wanted.device)

    def spectrum(sound: torch.Tensor) -> torch.Tensor:
        bins = torch.stft(sound.squeeze(1), window, window // 4, window=shape, return_complex=True) / shape.sum()
        return (bins.real.square() + bins.imag.square() + floor**2).sqrt()

    a, b = spectrum(heard), spectrum(wanted)
    return weight * (a.log() - b.log()).abs().mean() + torch.linalg.norm(a - b) / torch.linalg.norm(b)


def encode(vae: Any, pool: Pool) -> torch.Tensor:
    """The means of the clips' latents, `(clips, channels, FRAMES)`."""
    batches = tqdm(pool.samples.split(32), desc="latents", mininterval=5)
    with torch.no_grad():
        return torch.cat([posterior(vae, waveforms(batch, vae.device)).mode() for batch in batches])
