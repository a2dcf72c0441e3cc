"""What a catalog entry switches on to run faster, by diffusers' and torch's own means."""

from typing import Any

import torch
from contracts.catalog import Speedups
from diffusers import FirstBlockCacheConfig, attention_backend


def apply(wanted: Speedups, pipeline: Any) -> tuple[str, ...]:
    """Switches on what is wanted, once for each loaded pipeline, and returns it as provenance names it.

    Raises `ValueError` and `AttributeError` for what the pipeline's architecture does not have.
    """
    denoiser = denoiser_of(pipeline)
    applied = []
    if wanted.channels_last:
        if any(weight.dim() == 5 for part in (denoiser, pipeline.vae) for weight in part.parameters()):
            raise ValueError("channels_last is for convolutions over pictures, and this model has them over clips")
        denoiser.to(memory_format=torch.channels_last)
        pipeline.vae.to(memory_format=torch.channels_last)
        applied.append("channels_last")
    if wanted.attention is not None:
        _set_attention(denoiser, wanted.attention)
        applied.append(f"attention={wanted.attention}")
    if wanted.fp8_storage:
        denoiser.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=denoiser.dtype)
        applied.append("fp8_storage")
    if wanted.first_block_cache is not None:
        denoiser.enable_cache(FirstBlockCacheConfig(threshold=wanted.first_block_cache))
        applied.append(f"first_block_cache={wanted.first_block_cache}")
    if wanted.compile:
        denoiser.compile_repeated_blocks()
        applied.append("compile")
    return tuple(applied)


def _set_attention(denoiser: Any, backend: str) -> None:
    # Where none looks for a backend, diffusers sets it nowhere and says nothing.
    if not any(hasattr(getattr(module, "processor", None), "_attention_backend") for module in denoiser.modules()):
        raise ValueError(f"attention={backend}, and this architecture has one kind of attention only")
    try:
        # It sets the one that all other models fall back on as well, which is put back at the end.
        with attention_backend(backend):
            denoiser.set_attention_backend(backend)
    except RuntimeError as error:
        raise ValueError(f"attention={backend} cannot be used here: {error}") from error


def denoiser_of(pipeline: Any) -> Any:
    """The network that runs at every step."""
    return pipeline.transformer if getattr(pipeline, "transformer", None) is not None else pipeline.unet
