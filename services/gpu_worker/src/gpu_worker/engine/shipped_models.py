"""The tiny models of the catalog, which the package brings: real diffusers pipelines of a few megabytes.

How they are trained is in services/gpu_worker/training.
"""

from pathlib import Path

from gpu_worker.engine.failures import ModelUnusable

SHIPPED = Path(__file__).parents[1] / "models"


def shipped(name: str) -> Path:
    """The model's folder. Raises `ModelUnusable` for one that does not come with the package."""
    folder = SHIPPED / name
    if not (folder / "model_index.json").is_file():
        raise ModelUnusable(f"no model named {name} comes with the worker")
    return folder
