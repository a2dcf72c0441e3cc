"""Trains one of the tiny models from nothing: `python -m training audio`, from services/gpu_worker."""

import argparse
import importlib
from pathlib import Path
from typing import Any

import torch
from gpu_worker.engine.pipelines import pick_device
from gpu_worker.engine.shipped_models import SHIPPED

MEDIA = {
    "audio": ("training.audio", "tiny-stable-audio"),
    "image": ("training.image", "tiny-stable-diffusion"),
    "video": ("training.video", "tiny-ltx-video"),
}
"""The module that trains each medium's model, and the name the catalog knows it by."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("medium", choices=sorted(MEDIA))
    parser.add_argument("--folder", type=Path, default=Path("checkpoints"), help="of checkpoints, gone on from")
    parser.add_argument("--out", type=Path, help="the pipeline's folder; where it is shipped from unless said")
    arguments = parser.parse_args()
    module, name = MEDIA[arguments.medium]
    pipeline = importlib.import_module(module).trained(arguments.folder, pick_device())
    _write(pipeline, arguments.out or SHIPPED / name)


def _write(pipeline: Any, out: Path) -> None:
    pipeline.to(dtype=torch.float16).save_pretrained(out, safe_serialization=True)
    for weights in out.rglob("*.safetensors"):
        # Written for their owner alone, and read by whichever user a worker runs as.
        weights.chmod(0o644)


if __name__ == "__main__":
    main()
