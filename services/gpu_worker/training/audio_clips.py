"""The clips that the audio model is trained on: synthesised once, and learned from again and again."""

from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from training import sounds
from training.loop import SEED

CLIPS = 4000


@dataclass(frozen=True)
class Pool:
    """Clips with what was asked for: `samples` as `(clips, FRAMES * FRAME)`, sixteen bits each."""

    sounds: list[sounds.Sound]
    seconds: torch.Tensor
    samples: torch.Tensor


def synthesise() -> Pool:
    made, seconds, samples = [], [], torch.empty((CLIPS, sounds.FRAMES * sounds.FRAME), dtype=torch.int16)
    for index in tqdm(range(CLIPS), desc="clips", mininterval=5):
        rng = np.random.default_rng((SEED, 1, index))
        made.append(sounds.draw_for_training(rng))
        seconds.append(sounds.LONGEST if rng.random() < 0.8 else rng.uniform(sounds.SHORTEST, sounds.LONGEST))
        clip = sounds.synthesise(made[-1], seconds[-1], rng)
        samples[index] = torch.from_numpy((clip * 32767).round().astype(np.int16))
    return Pool(made, torch.tensor(seconds, dtype=torch.float32), samples)


def waveforms(samples: torch.Tensor, device: torch.device) -> torch.Tensor:
    return samples.to(device).unsqueeze(1).float() / 32767
