"""Running a pipeline: the catalog's parameters in, raw media out, a call at every step."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contracts.catalog import Generator, ModelEntry
from contracts.media import Medium
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import JsonValue

from gpu_worker.engine.failures import UnusableInput, UnusableOutput

OnStep = Callable[[int, int], None]
"""Called with the step just done and how many there are; may raise to stop the run."""


@dataclass(frozen=True)
class Picture:
    image: Image.Image


@dataclass(frozen=True)
class Clip:
    """Frames as `(count, height, width, 3)`, values from 0 to 1."""

    frames: np.ndarray[Any, Any]
    frame_rate: float


@dataclass(frozen=True)
class Sound:
    """Samples as `(channels, count)`, values from -1 to 1."""

    samples: np.ndarray[Any, Any]
    sample_rate: int


MOST_PIXELS = 50_000_000
"""Of an input picture: what cameras take, and far less than would fill the memory when it is unpacked."""

RawMedia = Picture | Clip | Sound


def generate(
    pipeline: Any, entry: ModelEntry, params: Mapping[str, JsonValue], inputs: Mapping[str, Path], on_step: OnStep
) -> RawMedia:
    """Runs the pipeline once. Raises whatever it raises, `UnusableInput` and `UnusableOutput`."""
    arguments = _arguments(entry, params)
    for name, path in inputs.items():
        arguments[name] = _shrunk(_read_image(path), entry.inputs[name].longest_side)
    if entry.generator is Generator.IMAGE_TO_VIDEO:
        arguments["image"] = ImageOps.fit(arguments["image"], (arguments["width"], arguments["height"]))
    arguments |= _watch_steps(pipeline, on_step)
    with torch.inference_mode():
        match entry.medium:
            case Medium.IMAGE:
                return _picture(pipeline(**arguments, output_type="np"))
            case Medium.VIDEO:
                frame_rate = params[entry.output.frame_rate or ""]
                return _clip(pipeline(**arguments, output_type="np"), frame_rate)
            case Medium.AUDIO:
                return _sound(pipeline(**arguments, output_type="pt"), pipeline.vae.sampling_rate)


def _arguments(entry: ModelEntry, params: Mapping[str, JsonValue]) -> dict[str, Any]:
    """The catalog says which parameter is which argument; hidden ones take their fixed value."""
    arguments: dict[str, Any] = {}
    for name, parameter in entry.parameters.items():
        value = params.get(name, parameter.default)
        if value is None or not parameter.for_pipeline:
            continue
        arguments[parameter.argument or name] = value
    if "generator" in arguments:
        # Drawn on the CPU, the same seed gives the same noise on every device.
        arguments["generator"] = torch.Generator("cpu").manual_seed(arguments["generator"])
    return arguments


def _watch_steps(pipeline: Any, on_step: OnStep) -> dict[str, Any]:
    """The callback in whichever of its two forms the pipeline has."""
    if "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters:

        def after_step(pipe: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            on_step(step + 1, pipe.num_timesteps)
            return tensors

        return {"callback_on_step_end": after_step}

    def after_step_old(step: int, _timestep: Any, _latents: Any) -> None:
        on_step(step + 1, len(pipeline.scheduler.timesteps))

    return {"callback": after_step_old, "callback_steps": 1}


def _picture(output: Any) -> Picture:
    pixels = _finite(output.images[0])
    return Picture(Image.fromarray((pixels * 255).round().astype(np.uint8)))


def _clip(output: Any, frame_rate: Any) -> Clip:
    return Clip(_finite(output.frames[0]), float(frame_rate))


def _sound(output: Any, sample_rate: int) -> Sound:
    return Sound(np.clip(_finite(output.audios[0].float().cpu().numpy()), -1, 1), int(sample_rate))


def _finite(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if not np.isfinite(values).all():
        raise UnusableOutput("the model computed values that are no numbers; another seed or fewer steps may help")
    return values


def _read_image(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            _check_size(image)
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise UnusableInput(f"the input is no readable image: {error}") from error


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise UnusableInput(f"the input has {width} x {height} pixels; at most {MOST_PIXELS:,} in all are taken")


def _shrunk(image: Image.Image, longest_side: int) -> Image.Image:
    """The image no larger than the model takes, its sides multiples of the autoencoders' 8 pixels."""
    scale = min(1.0, longest_side / max(image.size))
    width, height = (max(8, int(side * scale) // 8 * 8) for side in image.size)
    return image.resize((width, height)) if (width, height) != image.size else image
