"""A clip that is encoded again is the same file: a replay that compares bytes, and a resumed run, stand on that."""

from itertools import islice
from pathlib import Path

import numpy as np
from contracts.catalog import OutputFormat
from gpu_worker.engine.encoders import encode, size_and_sha256
from gpu_worker.engine.generators import Clip
from training.motions import render, scenes

TIMES = 30


def test_the_same_frames_are_the_same_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    [clip] = render(list(islice(scenes(rng), 1)), rng)
    frames = np.clip(clip[:9] + 0.02 * rng.standard_normal(clip[:9].shape), 0, 1)
    made = set()
    for number in range(TIMES):
        folder = tmp_path / str(number)
        folder.mkdir()
        made.add(size_and_sha256(encode(Clip(frames, 8), OutputFormat.MP4, folder)))
    assert len(made) == 1
