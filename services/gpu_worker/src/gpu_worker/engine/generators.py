"""Running a pipeline: the catalog's parameters in, raw media out, a call at every step."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contracts.catalog import Generator, ModelEntry
from contracts.media import MOST_PIXELS, Medium
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import JsonValue

from gpu_worker.engine.checkpoints import Keeper
from gpu_worker.engine.drawing import Unfinished
from gpu_worker.engine.failures import UnusableInput, UnusableOutput

OnStep = Callable[[int, int], None]
"""Called with the step just done and how many there are; may raise to stop the run."""
Look = Callable[[Unfinished], None]
"""Called after it with what there is by then."""


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


@dataclass(frozen=True)
class File:
    """What is a file already, as that of a film which was cut together."""

    path: Path


RawMedia = Picture | Clip | Sound | File


def generate(
    pipeline: Any,
    entry: ModelEntry,
    params: Sequence[Mapping[str, JsonValue]],
    inputs: Mapping[str, Path],
    on_step: OnStep,
    keeper: Keeper | None = None,
    look: Look | None = None,
) -> list[RawMedia | UnusableOutput]:
    """Runs the pipeline once, for one task or for several that differ in what is given per item only.

    A `keeper` needs a pipeline whose callback at the end of a step may change what it goes on with.
    Returns each one's media, or why it cannot be used. Raises whatever the pipeline raises, and `UnusableInput`.
    """
    each = [_arguments(entry, of_one) for of_one in params]
    arguments = each[0] if len(each) == 1 else _joined(entry, each)
    for name, path in inputs.items():
        arguments[name] = _shrunk(_read_image(path), entry.inputs[name].longest_side)
    if entry.generator is Generator.IMAGE_TO_VIDEO:
        arguments["image"] = ImageOps.fit(arguments["image"], (arguments["width"], arguments["height"]))
    arguments |= _watch_steps(pipeline, dict(arguments), on_step, keeper, look)
    generators = [of_one["generator"] for of_one in each if "generator" in of_one]
    with torch.inference_mode(), keeper.around(pipeline, generators) if keeper else nullcontext():
        match entry.medium:
            case Medium.IMAGE:
                return [_usable(_picture, one) for one in pipeline(**arguments, output_type="np").images]
            case Medium.VIDEO:
                as_clip = partial(_clip, _frame_rate(entry, params[0]))
                return [_usable(as_clip, one) for one in pipeline(**arguments, output_type="np").frames]
            case Medium.AUDIO:
                as_sound = partial(_sound, int(pipeline.vae.sampling_rate))
                return [_usable(as_sound, one) for one in pipeline(**arguments, output_type="pt").audios]


def _joined(entry: ModelEntry, each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The arguments of one call for all: a list where each has its own, one value where they must be alike."""
    per_item = {parameter.argument or name for name, parameter in entry.parameters.items() if parameter.per_item}
    joined: dict[str, Any] = {}
    for name in {name: None for arguments in each for name in arguments}:
        values = [arguments.get(name) for arguments in each]
        if name in per_item and None not in values:
            joined[name] = values
        elif all(value == values[0] for value in values):
            joined[name] = values[0]
        else:
            raise ValueError(f"tasks that differ in {name} cannot share a pass")
    return joined


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


def _watch_steps(
    pipeline: Any, arguments: Mapping[str, Any], on_step: OnStep, keeper: Keeper | None, look: Look | None
) -> dict[str, Any]:
    """The callback in whichever of its two forms the pipeline has."""
    if "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters:

        def after_step(pipe: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            on_step(step + 1, pipe.num_timesteps)
            if look is not None:
                look(Unfinished(pipe, arguments, step + 1, tensors.get("latents")))
            return keeper.after_step(pipe, step + 1, tensors) if keeper else tensors

        return {"callback_on_step_end": after_step}

    def after_step_old(step: int, _timestep: Any, _latents: Any) -> None:
        on_step(step + 1, len(pipeline.scheduler.timesteps))

    return {"callback": after_step_old, "callback_steps": 1}


def _usable(made_of: Callable[[Any], RawMedia], output: Any) -> RawMedia | UnusableOutput:
    """One task's media. What is wrong with them is no matter of those that were made in the same pass."""
    try:
        return made_of(output)
    except UnusableOutput as error:
        return error


def _picture(output: Any) -> Picture:
    return Picture(Image.fromarray((_finite(output) * 255).round().astype(np.uint8)))


def _clip(frame_rate: float, output: Any) -> Clip:
    return Clip(_finite(output), frame_rate)


def _frame_rate(entry: ModelEntry, params: Mapping[str, JsonValue]) -> float:
    """The parameter of this meaning, which every entry for video names and all of a pass have alike."""
    value = params[entry.output.frame_rate or ""]
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} frames a second")
    return float(value)


def _sound(sample_rate: int, output: Any) -> Sound:
    return Sound(np.clip(_finite(output.float().cpu().numpy()), -1, 1), sample_rate)


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
