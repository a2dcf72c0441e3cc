"""Trains one of the tiny models from nothing: `python -m training audio`, from services/gpu_worker."""

import argparse
import importlib
from pathlib import Path

MEDIA = {
    "audio": ("training.audio", "tiny-stable-audio"),
    "image": ("training.image", "tiny-stable-diffusion"),
    "video": ("training.video", "tiny-ltx-video"),
}
"""The module that trains each medium's model, and the name the catalog knows it by."""
SHIPPED = Path(__file__).parent.parent / "src" / "gpu_worker" / "models"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("medium", choices=sorted(MEDIA))
    parser.add_argument("--folder", type=Path, default=Path("checkpoints"), help="of checkpoints, gone on from")
    parser.add_argument("--out", type=Path, help="the pipeline's folder; where it is shipped from unless said")
    arguments = parser.parse_args()
    module, name = MEDIA[arguments.medium]
    importlib.import_module(module).make(arguments.folder, arguments.out or SHIPPED / name)


if __name__ == "__main__":
    main()
