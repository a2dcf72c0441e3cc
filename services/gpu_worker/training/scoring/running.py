"""Runs a model the way the worker does, with the catalog's default parameters."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from contracts.catalog import read_catalog
from gpu_worker.engine import weights
from gpu_worker.engine.failures import UnusableOutput
from gpu_worker.engine.generators import Clip, Picture, RawMedia, Sound, generate
from PIL import Image
from pydantic import JsonValue

CATALOG = read_catalog(only=["tiny-*"])


class Model:
    """The pipeline of a catalog entry, loaded from `folder`, or made of the components of `of`."""

    def __init__(self, key: str, folder: Path, of: "Model | None" = None) -> None:
        self.entry = CATALOG[key]
        self.pipeline: Any = weights.assemble(self.entry, of.pipeline) if of else weights.load(self.entry, folder)
        self.pipeline.set_progress_bar_config(disable=True)

    def __call__(self, image: Image.Image | None = None, **given: JsonValue) -> RawMedia:
        params = self.entry.defaults | given
        with TemporaryDirectory() as folder:
            inputs = {}
            if image:
                inputs["image"] = Path(folder) / "image.png"
                image.save(inputs["image"])
            [made] = generate(self.pipeline, self.entry, [params], inputs, lambda _step, _steps: None)
        if isinstance(made, UnusableOutput):
            raise made
        return made


__all__ = ["Clip", "Model", "Picture", "Sound"]
