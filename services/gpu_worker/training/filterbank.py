"""A waveform taken apart into bands and put together again, and an autoencoder whose outer layers do just that.

The outer layers of `AutoencoderOobleck` work at the sample rate, where learning is slow and dear. Set to a lossless
transform they leave the inner ones, which have to find the few numbers a sound is made of, a sixty-fourth of the time
steps.
"""

from typing import Any

import torch
from torch.nn import functional

BANDS = 8
"""Of each of two transforms in succession, the second within every band of the first."""
IDENTITY = -8.0
"""The logarithm of a Snake activation's frequency with which it lets everything through unchanged."""


def filters() -> torch.Tensor:
    """`(BANDS, 2 * BANDS)`, orthonormal with themselves shifted by `BANDS` samples.

    The modified discrete cosine transform with the sine window: Princen, Johnson and Bradley, "Subband/transform
    coding using filter bank designs based on time domain aliasing cancellation", 1987.
    """
    at = torch.arange(2 * BANDS) + 0.5
    band = torch.arange(BANDS).unsqueeze(1) + 0.5
    window = torch.sin(torch.pi / (2 * BANDS) * at)
    return (2 / BANDS) ** 0.5 * window * torch.cos(torch.pi / BANDS * (at + BANDS / 2) * band)


def analyse(waveform: torch.Tensor) -> torch.Tensor:
    """`(batch, 1, samples)` to `(batch, BANDS * BANDS, samples / BANDS / BANDS)`."""
    kernel = filters().unsqueeze(1).to(waveform)
    bands = functional.conv1d(waveform, kernel, stride=BANDS, padding=BANDS // 2)
    return functional.conv1d(bands, kernel.repeat(BANDS, 1, 1), stride=BANDS, padding=BANDS // 2, groups=BANDS)


def synthesise(bands: torch.Tensor) -> torch.Tensor:
    """`analyse`, undone but for the first and last few samples."""
    kernel = filters().unsqueeze(1).to(bands)
    joined = functional.conv_transpose1d(
        bands, kernel.repeat(BANDS, 1, 1), stride=BANDS, padding=BANDS // 2, groups=BANDS
    )
    return functional.conv_transpose1d(joined, kernel, stride=BANDS, padding=BANDS // 2)


def set_outer_layers(vae: Any) -> None:
    """Makes `analyse` of the encoder's first two blocks, and `synthesise` of the decoder's last two."""
    encoder, decoder = vae.encoder, vae.decoder
    first = filters()
    within = _within_bands(first)
    impulse = torch.eye(7)[3].view(1, 1, 7)
    with torch.no_grad():
        _pass_through(encoder.block[0], encoder.block[1], decoder.block[-2], decoder.block[-1])
        decoder.snake1.alpha.fill_(IDENTITY)
        _set(encoder.conv1, impulse)
        _set(encoder.block[0].conv1, first.unsqueeze(1))
        _set(encoder.block[1].conv1, within)
        _set(decoder.block[-2].conv_t1, within)
        _set(decoder.block[-1].conv_t1, first.unsqueeze(1))
        _set(decoder.conv2, impulse)


def _pass_through(*blocks: Any) -> None:
    """Leaves of each block only the convolution that changes its rate."""
    for block in blocks:
        block.snake1.alpha.fill_(IDENTITY)
        for unit in (block.res_unit1, block.res_unit2, block.res_unit3):
            unit.conv2.weight_g.zero_()
            unit.conv2.bias.zero_()


def _within_bands(first: torch.Tensor) -> torch.Tensor:
    weight = torch.zeros(BANDS * BANDS, BANDS, 2 * BANDS)
    for band in range(BANDS):
        weight[band * BANDS : (band + 1) * BANDS, band] = first
    return weight


def _set(convolution: Any, weight: torch.Tensor) -> None:
    """The weights of a normalised convolution: those given in its first channels, nothing in the rest."""
    rows, columns, _ = weight.shape
    convolution.weight_g.zero_()
    convolution.weight_g[:rows] = 1.0
    convolution.weight_v[:rows] = 0.0
    convolution.weight_v[:rows, :columns] = weight
    if convolution.bias is not None:
        convolution.bias.zero_()
