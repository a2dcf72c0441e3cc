"""The video model's autoencoder: a whole picture and eight frames a latent, which says what codes.py says.

Most of its decoder is set: what latents say is drawn out in straight lines over time and told to every patch. What is
learned is to paint a patch by it, and to tell from a picture what its latent says.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo
from torch.nn.functional import conv2d, mse_loss

from training import codes
from training.drawing import Floats
from training.loop import Stage, half_precision
from training.motions import FRAMES, HEIGHT, WIDTH, another_shape, draw, scenes
from training.nearby import largest_near

PATCH = 12
"""Pixels of a side of what the autoencoder sees as one."""

DECODER_STEPS = 7000
ENCODER_STEPS = 2500
BATCH = 64
LATENT_NOISE = 0.1
"""The most that latents are off, as they will be from the denoiser."""
DOUBT_SHARE, MOST_DOUBT = 0.6, 0.45
"""How many latents are mixed with those of another shape on the same path, and the other's most part then."""
DRAWN_WEIGHT, NEAR = 6.0, 3
"""What pixels count that are as near to a shape."""
CLIPS_SHARE = 0.15
"""How often the encoder is shown clips; what it is for is first frames."""
LOG_VARIANCE = -10.0

_Told = tuple[torch.Tensor, torch.Tensor]
"""Clips as the autoencoder has them, and the latents that say what they show."""


def autoencoder() -> AutoencoderKLLTXVideo:
    """With everything set that is not learned."""
    vae = AutoencoderKLLTXVideo(
        latent_channels=codes.LENGTH,
        block_out_channels=(48, 48, 64, 64),
        down_block_types=("LTXVideo095DownBlock3D",) * 3,
        layers_per_block=(1, 1, 1, 0),
        spatio_temporal_scaling=(True,) * 3,
        downsample_type=("spatiotemporal",) * 3,
        decoder_block_out_channels=(64, 64, 64),
        decoder_layers_per_block=(4, 0, 0, 0),
        decoder_spatio_temporal_scaling=(True,) * 3,
        decoder_inject_noise=(False,) * 4,
        upsample_residual=(False,) * 3,
        upsample_factor=(1,) * 3,
        patch_size=PATCH,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=True,
        spatial_compression_ratio=8 * PATCH,
        temporal_compression_ratio=codes.EVERY,
    )
    _initialise(vae)
    _set_upsampling(vae.decoder)
    for conv in _framewise(vae):
        conv.conv.weight.data[:, :, :-1] = 0
        conv.forward = partial(_one_by_one, conv)
    return vae


def stages(vae: AutoencoderKLLTXVideo) -> list[Stage[_Told]]:
    """What is learned, the one as well before the other."""
    painting = torch.nn.ModuleList([vae.decoder.up_blocks[-1].resnets, vae.decoder.conv_out])
    return [
        Stage("video-decoder", painting, _frames_in_doubt, _decoder_loss(vae), DECODER_STEPS, learning_rate=2e-3),
        Stage("video-encoder", vae.encoder, _frames_or_clips, _encoder_loss(vae), ENCODER_STEPS),
    ]


def _initialise(vae: AutoencoderKLLTXVideo) -> None:
    """Lets what goes in come out at the first step, where PyTorch's own weights would shrink it to nothing."""
    for module in vae.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            torch.nn.init.zeros_(module.bias)
    # Without them the norms, which know no more than a vector's direction, take white for a light grey.
    torch.nn.init.normal_(vae.encoder.conv_in.conv.bias, std=0.7)
    variance = vae.encoder.conv_out.conv
    torch.nn.init.zeros_(variance.weight.data[-1])
    torch.nn.init.constant_(variance.bias.data[-1:], LOG_VARIANCE)


def _set_upsampling(decoder: torch.nn.Module) -> None:
    """Has nothing to learn: what latents say is drawn out in straight lines over time, and told to every patch.

    To each, places are told as seen from its own middle.
    """
    said = range(codes.LENGTH + 1)
    first = decoder.conv_in.conv
    torch.nn.init.zeros_(first.weight)
    for channel in range(codes.LENGTH):
        first.weight.data[channel, channel, -1, 1, 1] = 1
    # The measure by which the norms, which know no more than a vector's direction, tell values.
    first.bias.data[codes.LENGTH] = 1
    side = 8 * PATCH
    for block in decoder.up_blocks:
        side //= 2
        conv = block.upsamplers[0].conv.conv
        torch.nn.init.zeros_(conv.weight)
        into = conv.weight.data.unflatten(0, (-1, 2, 2, 2))
        for channel in said:
            into[channel, 1, :, :, channel, -1, 1, 1] = 1
            into[channel, 0, :, :, channel, -2:, 1, 1] = 0.5
        away = torch.tensor([0.5, -0.5]) * side / codes.PLACE_SCALE
        bias = conv.bias.data.unflatten(0, (-1, 2, 2, 2))
        bias[codes.ACROSS] = away[None, None, :]
        bias[codes.DOWN] = away[None, :, None]


def _framewise(vae: AutoencoderKLLTXVideo) -> list[Any]:
    """The layers at the highest resolution, which look at one frame at a time: that costs a third."""
    encoder, decoder = vae.encoder, vae.decoder
    outer = [encoder.conv_in, decoder.conv_out]
    for resnet in (*encoder.down_blocks[0].resnets, *decoder.up_blocks[-1].resnets):
        outer += [resnet.conv1, resnet.conv2]
    return outer


def _one_by_one(conv: Any, clips: torch.Tensor) -> torch.Tensor:
    """What a causal convolution makes of clips, if nothing but the last plane of its kernel is other than zero."""
    frames = clips.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    seen = conv2d(frames, conv.conv.weight[:, :, -1], conv.conv.bias, padding=1)
    return seen.unflatten(0, (len(clips), -1)).transpose(1, 2)


def _decoder_loss(vae: AutoencoderKLLTXVideo) -> Callable[[_Told], torch.Tensor]:
    def loss(told: _Told) -> torch.Tensor:
        frames, latents = (part.to(vae.device) for part in told)
        off = LATENT_NOISE * torch.rand(len(latents), 1, 1, 1, 1, device=vae.device)
        with half_precision(vae.device):
            seen = vae.decode(latents + off * torch.randn_like(latents)).sample.float()
        errors, weights = (seen - frames).abs(), _weights(frames)
        return ((errors + errors.square()) * weights).mean() / weights.mean()

    return loss


def _frames_in_doubt(_step: int, rng: np.random.Generator) -> _Told:
    """Clips of a single frame, and latents that say more or less clearly what they show.

    A denoiser in two minds gives the mean of both; the decoder paints the likelier.
    """
    shown = list(islice(scenes(rng), BATCH))
    others = [another_shape(scene, rng) for scene in shown]
    paths = [scene.path(rng).at(int(rng.integers(FRAMES))) for scene in shown]
    doubt = MOST_DOUBT * rng.random((BATCH, 1, 1), np.float32) * (rng.random((BATCH, 1, 1)) < DOUBT_SHARE)
    told, instead = codes.codes(shown, paths), codes.codes(others, paths)
    mixed = (told + doubt * (instead - told)).astype(np.float32)
    return _as_input(draw(shown, paths)), _as_latents(mixed)


def _frames_or_clips(_step: int, rng: np.random.Generator) -> _Told:
    return (_clips if rng.random() < CLIPS_SHARE else _frames)(rng)


def _frames(rng: np.random.Generator) -> _Told:
    """Clips of a single frame."""
    shown = list(islice(scenes(rng), BATCH))
    paths = [scene.path(rng).at(int(rng.integers(FRAMES))) for scene in shown]
    return _as_input(draw(shown, paths)), _as_latents(codes.codes(shown, paths))


def _clips(rng: np.random.Generator) -> _Told:
    shown = list(islice(scenes(rng), BATCH // 8))
    paths = [scene.path(rng) for scene in shown]
    return _as_input(draw(shown, paths)), _as_latents(codes.codes(shown, paths))


def _weights(clips: torch.Tensor) -> torch.Tensor:
    """What each pixel counts: shapes cover so little that a decoder would long leave them out."""
    drawn = (clips != clips[..., :1, :1]).any(1).float().flatten(0, 1)
    near = largest_near(drawn[:, None], NEAR)
    return (1 + (DRAWN_WEIGHT - 1) * near).view(len(clips), 1, -1, HEIGHT, WIDTH)


def _encoder_loss(vae: AutoencoderKLLTXVideo) -> Callable[[_Told], torch.Tensor]:
    def loss(told: _Told) -> torch.Tensor:
        shown, latents = (part.to(vae.device) for part in told)
        with half_precision(vae.device):
            read = vae.encode(shown).latent_dist.mean.float()
        return mse_loss(read, latents)

    return loss


def _as_input(clips: Floats) -> torch.Tensor:
    return torch.from_numpy(clips).permute(0, 4, 1, 2, 3) * 2 - 1


def _as_latents(told: Floats) -> torch.Tensor:
    return torch.from_numpy(told).transpose(1, 2)[..., None, None]
