"""The pipeline and the encoder in a loop with nothing around them, as somebody without a platform would run them.

    python -m tests.benchmarks.bare_loop MODEL COUNT BATCH THREADS MODELS_FOLDER OUTPUT_FOLDER PARAMETERS

Parameters that the JSON object does not name are the catalog's defaults. Prints the seconds that COUNT
results took, files written and all.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from contracts.catalog import read_catalog
from gpu_worker.engine import weights
from gpu_worker.engine.encoders import encode
from gpu_worker.engine.generators import RawMedia, generate

key, count, batch, threads = sys.argv[1], *(int(argument) for argument in sys.argv[2:5])
models, output, chosen = Path(sys.argv[5]), Path(sys.argv[6]), {"prompt": "a red circle", **json.loads(sys.argv[7])}
torch.set_num_threads(threads)
[entry] = read_catalog(only=[key]).models
pipeline = weights.load(entry, weights.fetch(entry, models))
pipeline.set_progress_bar_config(disable=True)


def make(seeds: range) -> None:
    params: list[dict[str, Any]] = [{**entry.defaults, **chosen, "seed": seed} for seed in seeds]
    for seed, media in zip(seeds, generate(pipeline, entry, params, {}, lambda *_: None), strict=True):
        folder = output / str(seed)
        folder.mkdir(exist_ok=True)
        assert isinstance(media, RawMedia)
        encode(media, entry.output.format, folder)


make(range(batch))
started = time.perf_counter()
for first in range(0, count, batch):
    make(range(first, first + batch))
print(time.perf_counter() - started)
