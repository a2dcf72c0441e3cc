"""A small picture of a result that is still being made, from its latents, by the pipeline's own autoencoder.

The latents are made smaller first, which costs little and takes noise away, and of a clip only the frame in its
middle is decoded. So a picture takes milliseconds, whatever the size of the result.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch.nn.functional import interpolate

MOST_LATENTS = 32
"""Of a side: four times as many take sixteen times as long to decode."""
LONGEST_SIDE = 256
"""In pixels."""


@dataclass(frozen=True)
class Unfinished:
    """What a pipeline, called with these arguments, has after a step."""

    pipeline: Any
    arguments: Mapping[str, Any]
    step: int
    latents: torch.Tensor | None


def draw(unfinished: Unfinished, index: int) -> Image.Image | None:
    """The one at `index` of those that the pipeline makes. None for sounds, and where the latents tell too little."""
    pipeline, latents = unfinished.pipeline, unfinished.latents
    vae: Any = getattr(pipeline, "vae", None)
    if vae is None or latents is None or not _is_at_hand(pipeline) or _depends_on_noise(vae):
        return None
    grid = _as_grid(pipeline, latents[index : index + 1], unfinished.arguments)
    if grid is None:
        return None
    with _precise_enough(vae):
        small = _denormalised(vae, _shrunk(_middle(grid)).to(vae.dtype))
        pixels = vae.decode(small, return_dict=False)[0]
    return _picture(pixels[:, :, 0] if pixels.dim() == 5 else pixels)


def _is_at_hand(pipeline: Any) -> bool:
    """A model that is moved to the device when it is needed would move the one away that is needed next."""
    return not getattr(pipeline, "_all_hooks", None)


def _depends_on_noise(vae: Any) -> bool:
    return bool(getattr(vae.config, "timestep_conditioning", False))


def _as_grid(pipeline: Any, latents: torch.Tensor, arguments: Mapping[str, Any]) -> torch.Tensor | None:
    """As channels by height by width, with frames before these for a clip: what transformers take is packed."""
    if latents.dim() in (4, 5):
        return latents
    size = arguments.get("height"), arguments.get("width")
    if latents.dim() != 3 or not hasattr(pipeline, "_unpack_latents") or None in size:
        return None
    height, width = size
    if not hasattr(pipeline, "vae_temporal_compression_ratio"):
        return pipeline._unpack_latents(latents, height, width, pipeline.vae_scale_factor)
    return pipeline._unpack_latents(
        latents,
        (arguments["num_frames"] - 1) // pipeline.vae_temporal_compression_ratio + 1,
        height // pipeline.vae_spatial_compression_ratio,
        width // pipeline.vae_spatial_compression_ratio,
        pipeline.transformer_spatial_patch_size,
        pipeline.transformer_temporal_patch_size,
    )


def _middle(grid: torch.Tensor) -> torch.Tensor:
    """A clip's frame in the middle, still as a clip."""
    if grid.dim() == 4:
        return grid
    middle = grid.shape[2] // 2
    return grid[:, :, middle : middle + 1]


def _shrunk(grid: torch.Tensor) -> torch.Tensor:
    height, width = grid.shape[-2:]
    scale = min(1.0, MOST_LATENTS / max(height, width))
    if scale == 1:
        return grid
    size = max(1, round(height * scale)), max(1, round(width * scale))
    if grid.dim() == 4:
        return interpolate(grid, size, mode="area")
    return interpolate(grid[:, :, 0], size, mode="area")[:, :, None]


def _denormalised(vae: Any, grid: torch.Tensor) -> torch.Tensor:
    """As the autoencoder takes them; its kinds differ in what they have of this."""
    mean = _channels(vae, "latents_mean", grid)
    std = _channels(vae, "latents_std", grid)
    shift = mean if mean is not None else (getattr(vae.config, "shift_factor", None) or 0.0)
    scaled = grid / (getattr(vae.config, "scaling_factor", None) or 1.0)
    return (scaled if std is None else scaled * std) + shift


def _channels(vae: Any, name: str, grid: torch.Tensor) -> torch.Tensor | None:
    values = dict(vae.named_buffers(recurse=False)).get(name)
    if values is None:
        values = getattr(vae.config, name, None)
    if values is None:
        return None
    return torch.as_tensor(values).to(grid).view(1, -1, *[1] * (grid.dim() - 2))


@contextmanager
def _precise_enough(vae: Any) -> Iterator[None]:
    """Some autoencoders overflow in half precision, and say so. Their weights come back as they were."""
    needed = vae.dtype == torch.float16 and bool(getattr(vae.config, "force_upcast", False))
    if not needed:
        yield
        return
    vae.to(dtype=torch.float32)
    try:
        yield
    finally:
        vae.to(dtype=torch.float16)


def _picture(pixels: torch.Tensor) -> Image.Image:
    levels = (pixels[0].float().nan_to_num() / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
    image = Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return image
