"""The model catalog: its schema, its file, and the requests it allows."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import ValidationError

from contracts.catalog.parameters import Parameter, Visibility
from contracts.catalog.requests import RequestValidator, SubmitFields, input_allowed
from contracts.catalog.schema import (
    BundledSource,
    Catalog,
    EditingSource,
    FolderSource,
    Generator,
    HubSource,
    InputSlot,
    ModelEntry,
    OutputFormat,
    Speedups,
)

__all__ = [
    "BundledSource",
    "Catalog",
    "CatalogError",
    "EditingSource",
    "FolderSource",
    "Generator",
    "HubSource",
    "InputSlot",
    "ModelEntry",
    "OutputFormat",
    "Parameter",
    "RequestValidator",
    "Speedups",
    "SubmitFields",
    "Visibility",
    "input_allowed",
    "read_catalog",
]


class CatalogError(Exception):
    """The catalog file cannot be used; the text says which entry and why."""


def read_catalog(path: Path | None = None, only: Sequence[str] = ("*",)) -> Catalog:
    """The catalog in `path`, or the one shipped with this package, narrowed to the models offered here.

    `only` holds shell patterns over model keys. Raises `CatalogError`.
    """
    try:
        text = (path or files(__package__) / "catalog.yaml").read_text(encoding="utf-8")
        catalog = Catalog.model_validate(yaml.safe_load(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise CatalogError(f"{path or 'the shipped catalog'}: {error}") from error
    offered = tuple(entry for entry in catalog.models if any(fnmatchcase(entry.key, pattern) for pattern in only))
    if not offered:
        raise CatalogError(f"no model of the catalog matches {', '.join(only)}")
    return Catalog(version=catalog.version, models=offered)
