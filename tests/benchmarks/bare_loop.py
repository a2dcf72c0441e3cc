"""A hand-written loop over the same pipeline, as somebody without a platform would write it.

    python -m tests.benchmarks.bare_loop COUNT STEPS THREADS MODELS_FOLDER OUTPUT_FOLDER

Prints the seconds that COUNT images took.
"""

import sys
import time
from pathlib import Path

import diffusers
import torch
from gpu_worker.engine.tiny_models import make

count, steps, threads = (int(argument) for argument in sys.argv[1:4])
models, output = Path(sys.argv[4]), Path(sys.argv[5])
torch.set_num_threads(threads)
pipeline = diffusers.StableDiffusionPipeline.from_pretrained(make("tiny-stable-diffusion", models))
pipeline.set_progress_bar_config(disable=True)


def draw(seed: int) -> None:
    generator = torch.Generator("cpu").manual_seed(seed)
    image = pipeline(
        prompt="a red circle",
        negative_prompt="",
        width=128,
        height=128,
        num_inference_steps=steps,
        guidance_scale=5.0,
        generator=generator,
    ).images[0]
    image.save(output / f"{seed}.png", compress_level=4)


draw(0)
started = time.perf_counter()
for seed in range(1, count + 1):
    draw(seed)
print(time.perf_counter() - started)
