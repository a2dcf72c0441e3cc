"""Imported once by the fork server, so that every engine child starts with the heavy imports done.

Nothing here may touch a device: CUDA must be initialised in the child, after the fork.
"""

import importlib
import os
import signal

# Read when the libraries are imported: their bars and their advice have no place in a service's log.
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

CACHE_OF_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
chosen = os.environ.get(CACHE_OF_COMPILED)

# A terminal's Ctrl-C reaches the whole process group. The supervisor alone decides when an engine ends, and
# children take this over from the fork server.
signal.signal(signal.SIGINT, signal.SIG_IGN)

import torch
from contracts.catalog import read_catalog

import gpu_worker.engine.child

diffusers = importlib.import_module("diffusers")
for entry in read_catalog().models:
    if entry.generator.edits:
        continue
    # diffusers imports a pipeline's module only when its name is first asked for.
    getattr(diffusers, entry.pipeline)

if chosen is None:
    # The libraries have set it to a folder of their own while they were imported; the child knows a better one.
    os.environ.pop(CACHE_OF_COMPILED, None)

__all__ = ["gpu_worker", "torch"]
