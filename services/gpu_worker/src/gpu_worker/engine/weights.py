"""Weights on the local disk: safetensors of a pinned revision, whole, and without anybody's code."""

import hashlib
import re
from pathlib import Path
from typing import Any

import diffusers
import torch
from contracts.catalog import BundledSource, EditingSource, FolderSource, HubSource, ModelEntry
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors import SafetensorError, safe_open

from gpu_worker.engine.failures import ModelAway, ModelUnusable
from gpu_worker.engine.shipped_models import shipped

BLOB_OF_WEIGHTS = re.compile(r"[0-9a-f]{64}")
"""In the hub's cache a large file is named by the SHA-256 of what is in it."""


def fetch(entry: ModelEntry, models_folder: Path) -> Path:
    """The folder of the model's files, downloaded into `models_folder` if they are not there yet.

    Raises `ModelUnusable` for what will never be there, `ModelAway` for what cannot be reached now.
    """
    match entry.source:
        case BundledSource(name=name):
            return shipped(name)
        case FolderSource(path=path):
            return models_folder / path
        case HubSource():
            return _from_hub(entry, entry.source, models_folder / "hub")
        case EditingSource():
            raise ModelUnusable(f"{entry.key} has no weights")


def _from_hub(entry: ModelEntry, source: HubSource, cache: Path) -> Path:
    pipeline = _pipeline_class(entry)
    try:
        folder = pipeline.download(
            source.repo,
            revision=source.revision,
            variant=source.variant,
            cache_dir=cache,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except OSError as error:
        # Whatever the hub answered, diffusers looks for a copy at hand and then says that there is none.
        match error.__cause__ or error:
            case GatedRepoError():
                raise ModelUnusable(
                    f"{source.repo} is for those who have accepted its licence: give HF_TOKEN"
                ) from error
            case RepositoryNotFoundError() | RevisionNotFoundError():
                raise ModelUnusable(f"the hub has no {source.repo} at revision {source.revision}") from error
        raise ModelAway(f"{source.repo} is not on this node and cannot be downloaded now: {error}") from error
    return Path(folder)


def load(entry: ModelEntry, folder: Path) -> Any:
    """The pipeline in main memory. Raises `ModelUnusable` when its files are not what they should be."""
    pipeline = _pipeline_class(entry)
    if not (folder / pipeline.config_name).is_file():
        raise ModelUnusable(
            f"this worker has no files of {entry.key}: there is no {pipeline.config_name} in {folder.name}; put the "
            "model there, or change its source in the catalog"
        )
    try:
        _check_lengths(folder)
        return pipeline.from_pretrained(folder, dtype=_dtype(entry), use_safetensors=True, local_files_only=True)
    except SafetensorError as error:
        raise ModelUnusable(f"weights of {entry.key} are corrupt or cut off ({error}); fetch them anew") from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelUnusable(f"the files of {entry.key} are not a whole {entry.pipeline}: {error}") from error


def assemble(entry: ModelEntry, loaded: Any) -> Any:
    """The pipeline of an entry that shares another's weights, from the other's pipeline."""
    # Left to itself, `from_pipe` leaves out an autoencoder of another class than is usual, such as a small one.
    autoencoder = {name: part for name, part in loaded.components.items() if name == "vae"}
    return _pipeline_class(entry).from_pipe(loaded, dtype=_dtype(entry), **autoencoder)


def _pipeline_class(entry: ModelEntry) -> Any:
    return getattr(diffusers, entry.pipeline)


def _dtype(entry: ModelEntry) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, entry.dtype)
    return dtype


def _check_lengths(folder: Path) -> None:
    """Raises `SafetensorError` for a file that is not as long as its header says, which is read when it is opened."""
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, framework="pt"):
            pass


def verify(folder: Path) -> int:
    """How many files were compared with their checksums. Raises `ModelUnusable` for one that differs."""
    blobs = {path.resolve() for path in folder.rglob("*") if path.is_file()}
    named = [blob for blob in blobs if BLOB_OF_WEIGHTS.fullmatch(blob.name)]
    for blob in named:
        with blob.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != blob.name:
            raise ModelUnusable(f"{blob} is not what was published: its SHA-256 is {found}")
    return len(named)
