"""What the video model's latents say: how a clip looks at one moment in eight.

One latent for a whole picture: with several, an LTX-Video would have to find out where each of them is from noise
alone, for it tells its tokens nothing but how far they are from each other.
"""

from collections.abc import Sequence

import numpy as np

from training.drawing import SHAPES, Floats, rgb, unit
from training.motions import HEIGHT, WIDTH, Path, Scene

EVERY = 8
"""Frames from one moment that is told to the next."""
MOMENTS = slice(None, None, EVERY)
ACROSS, DOWN, SIZE = 9, 10, 11
"""Which numbers say where the shape is and how large; those before say both colours and which shape it is."""
LENGTH = 12
PLACE_SCALE = 24
"""Pixels by which a shape's place differs from the middle for one that is told."""


def codes(scenes: Sequence[Scene], paths: Sequence[Path], times: slice = MOMENTS) -> Floats:
    """(clips, moments, LENGTH), with nothing but straight lines between what moments say."""
    told = np.empty((len(scenes), len(paths[0].radii[times]), LENGTH), np.float32)
    for clip, scene, path in zip(told, scenes, paths, strict=True):
        colours = 3 * unit([rgb(scene.background), rgb(scene.colour)]) - 1.5
        shape = [float(shape == scene.shape) for shape in SHAPES]
        clip[:, :ACROSS] = np.concatenate([*colours, shape])
        clip[:, ACROSS:SIZE] = (path.centres[times] - (WIDTH / 2, HEIGHT / 2)) / PLACE_SCALE
        clip[:, SIZE] = (path.radii[times] - 14) / 6
    return told
