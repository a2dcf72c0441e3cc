"""Runs a model the way the worker does, with the catalog's default parameters."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import torch
from contracts.catalog import read_catalog
from gpu_worker.engine.failures import UnusableOutput
from gpu_worker.engine.generators import Clip, Picture, RawMedia, Sound, generate
from PIL import Image
from pydantic import JsonValue

CATALOG = read_catalog(only=["tiny-*"])


class Model:
    """The pipeline of a catalog entry, loaded from `folder`, or made of the components of `of`."""

    def __init__(self, key: str, folder: Path, of: "Model | None" = None) -> None:
        self.entry = CATALOG[key]
        self.pipeline: Any
        made = getattr(diffusers, self.entry.pipeline)
        dtype = getattr(torch, self.entry.dtype)
        if of:
            self.pipeline = made.from_pipe(of.pipeline, dtype=dtype)
        else:
            self.pipeline = made.from_pretrained(folder, dtype=dtype, use_safetensors=True)
        self.pipeline.set_progress_bar_config(disable=True)

    def __call__(self, image: Image.Image | None = None, **params: JsonValue) -> RawMedia:
        given: Mapping[str, Any] = {
            name: parameter.default
            for name, parameter in self.entry.parameters.items()
            if parameter.default not in (None, "random")
        } | params
        with TemporaryDirectory() as folder:
            inputs = {}
            if image:
                inputs["image"] = Path(folder) / "image.png"
                image.save(inputs["image"])
            [made] = generate(self.pipeline, self.entry, [given], inputs, lambda _step, _steps: None)
        if isinstance(made, UnusableOutput):
            raise made
        return made


__all__ = ["Clip", "Model", "Picture", "Sound"]
