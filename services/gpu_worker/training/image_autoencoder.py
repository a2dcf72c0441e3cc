"""Pictures as latents, and back: a fixed wavelet one way, a decoder that is learned the other."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch.nn.functional import avg_pool2d, conv2d

from training.drawing import Floats
from training.loop import Stage, half_precision
from training.nearby import largest_near
from training.shapes import SIDE, Scene, another_thing, render, scenes

LATENT_CHANNELS = 9
CELL = 8
"""Pixels of a latent's side."""
AVERAGE_SCALE, DIFFERENCE_SCALE = 3.3, 2.0
"""Of what latents are made of: neither gets far beyond 2, where the decoder would not tell values apart."""
WIDTH = 32
"""Of the decoder's layers."""

DECODER_STEPS = 8_000
BATCH = 16
CROP_SHARE = 0.7
CROP = 64
NOISE = 0.2
"""The most that latents are off, as they will be from the denoiser."""
DOUBT_SHARE, MOST_DOUBT = 0.5, 0.4
"""How many latents are mixed with those of other things at the same places, and the others' most part then.

A denoiser in two minds gives the mean of both; the decoder paints the likelier.
"""
SMALL = 13
"""The radius in pixels of what is painted from little."""
EDGE, NEAR, EDGE_WEIGHT = 0.1, 3, 8.0
"""By how much pixels differ at an outline, how near to it others are, and what they count.

All else is flat and soon learned.
"""


def autoencoder() -> AutoencoderTiny:
    """Its encoder has nothing to learn: it is set to a Haar wavelet, of each cell's colour and how that changes."""
    vae = AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 0, 0, 0),
        num_decoder_blocks=(2, 2, 1, 0),
        latent_channels=LATENT_CHANNELS,
    )
    first, *halving, last = vae.encoder.layers
    for conv in vae.encoder.layers:
        torch.nn.init.zeros_(conv.weight)
    torch.nn.init.zeros_(first.bias)
    wavelet, offset = _haar()
    for colour in range(3):
        # Down to four pixels by averages; then the four quarters of a cell side by side.
        first.weight.data[colour, colour, 1, 1] = 1
        for conv in halving[:-1]:
            conv.weight.data[colour, colour, 1:, 1:] = 0.25
        for quarter in range(4):
            halving[-1].weight.data[4 * colour + quarter, colour, 1 + quarter // 2, 1 + quarter % 2] = 1
        last.weight.data[:, 4 * colour : 4 * colour + 4, 1, 1] = wavelet[:, colour].flatten(1)
    last.bias.data[:] = offset
    return vae


def latents_of(pictures: torch.Tensor) -> torch.Tensor:
    """What the encoder makes of (pictures, height, width, 3) from 0 to 1, at a fraction of its price."""
    wavelet, offset = _haar()
    quarters = avg_pool2d(pictures.permute(0, 3, 1, 2), CELL // 2)
    return conv2d(quarters, wavelet.to(pictures.device), offset.to(pictures.device), stride=2)


def _haar() -> tuple[torch.Tensor, torch.Tensor]:
    """(latents, colours, 2, 2) for the quarters of a cell, and what is added: averages first, then the differences."""
    wavelet = torch.zeros(LATENT_CHANNELS, 3, 2, 2)
    for colour in range(3):
        wavelet[colour, colour] = AVERAGE_SCALE / 4
        wavelet[3 + colour, colour] = DIFFERENCE_SCALE / 2 * torch.tensor([[-1, 1], [-1, 1]])
        wavelet[6 + colour, colour] = DIFFERENCE_SCALE / 2 * torch.tensor([[-1, -1], [1, 1]])
    return wavelet, torch.tensor([-AVERAGE_SCALE / 2] * 3 + [0.0] * 6)


def decoder_stage(name: str, vae: AutoencoderTiny) -> Stage[tuple[torch.Tensor, torch.Tensor]]:
    """Sharp pictures from latents that are noisy, and in doubt about what they show."""

    def loss(drawn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        pictures, others = (some.to(vae.device) for some in drawn)
        shown = (pictures * 2 - 1).permute(0, 3, 1, 2).contiguous()
        doubt = torch.rand(len(shown), 1, 1, 1, device=vae.device) * MOST_DOUBT
        doubt *= torch.rand(len(shown), 1, 1, 1, device=vae.device) < DOUBT_SHARE
        latents = torch.lerp(latents_of(pictures), latents_of(others), doubt)
        off = NOISE * torch.rand(len(shown), 1, 1, 1, device=vae.device)
        with half_precision(vae.device):
            seen = vae.decode(latents + off * torch.randn_like(latents)).sample.float()
        errors, weights = (seen - shown).abs(), _weights(shown)
        return ((errors + errors.square()) * weights).mean() / weights.mean()

    return Stage(name, vae.decoder, _in_doubt, loss, DECODER_STEPS, learning_rate=2e-3)


def _weights(pictures: torch.Tensor) -> torch.Tensor:
    """What each pixel counts (pictures, 1, height, width)."""
    highest, lowest = (largest_near(sign * pictures, NEAR) for sign in (1, -1))
    return torch.where((highest + lowest).amax(1, keepdim=True) > EDGE, EDGE_WEIGHT, 1.0)


def _in_doubt(step: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures, and what each might have shown as well; parts of them, or in the end fewer that are whole."""
    cropped = step < CROP_SHARE * DECODER_STEPS
    chosen = list(islice(_scenes(rng), BATCH if cropped else BATCH // 2))
    others = [_otherwise(scene, rng) for scene in chosen]
    places = rng.integers(2**32)
    pictures, instead = (render(some, np.random.default_rng(places)) for some in (chosen, others))
    if cropped:
        where = [_part(picture, rng) for picture in pictures]
        pictures, instead = _parts(pictures, where), _parts(instead, where)
    return torch.from_numpy(pictures), torch.from_numpy(instead)


def _scenes(rng: np.random.Generator) -> Iterator[Scene]:
    """Those with nothing small in them half as often: what is small is painted from little."""
    for scene in scenes(rng):
        if rng.random() < 0.5 or scene.smallest <= SMALL:
            yield scene


def _parts(pictures: Floats, where: list[tuple[slice, slice]]) -> Floats:
    return np.stack([picture[part] for picture, part in zip(pictures, where, strict=True)])


def _otherwise(scene: Scene, rng: np.random.Generator) -> Scene:
    return replace(scene, things=tuple(another_thing(thing, scene.background, rng) for thing in scene.things))


def _part(picture: Floats, rng: np.random.Generator) -> tuple[slice, slice]:
    """A piece along the lattice of latents, with some of a shape in it."""
    drawn = np.argwhere((picture != picture[0, 0]).any(-1))
    corner = (rng.choice(drawn) - rng.integers(0, CROP, 2)) // CELL * CELL
    top, left = np.clip(corner, 0, SIDE - CROP)
    return slice(top, top + CROP), slice(left, left + CROP)
