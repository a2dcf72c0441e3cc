"""Secrets of one machine's platform: made at the first start, kept readable by their owner only."""

import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import from_json

Secrets = TypeVar("Secrets", bound=BaseModel)


def load_or_create(path: Path, kind: type[Secrets], **first: Any) -> Secrets:
    """Those of this file; what it lacks, having been written by an earlier version, is made and kept with the rest.

    `first` is what has no default, for a file that is not there yet.
    """
    kept = from_json(path.read_bytes()) if path.is_file() else {}
    secrets = kind.model_validate({**first, **kept})
    if secrets.model_dump(mode="json") != kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.model_dump_json(indent=2))
        partial.replace(path)
    return secrets
