"""Fetches the catalog's weights into a node's cache before any worker needs them, for an init container.

python -m gpu_worker.engine.prefetch FOLDER [--catalog FILE] [MODEL…]
"""

import argparse
import sys
from pathlib import Path

from contracts.catalog import ModelEntry, read_catalog

from gpu_worker.engine.failures import ModelAway, ModelUnusable
from gpu_worker.engine.weights import fetch, verify


def prefetch(entries: list[ModelEntry], folder: Path) -> list[str]:
    """Fetches and verifies one after the other, and returns what went wrong, a line each."""
    problems = []
    for number, entry in enumerate(entries, 1):
        print(f"{number}/{len(entries)} {entry.key}", flush=True)
        try:
            found = fetch(entry, folder)
            print(f"    {verify(found)} checksums right in {found}", flush=True)
        except (ModelAway, ModelUnusable) as error:
            problems.append(f"{entry.key}: {error}")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--catalog", type=Path)
    parser.add_argument("models", nargs="*", default=["*"], help="shell patterns over the catalog's keys")
    given = parser.parse_args()
    offered = read_catalog(given.catalog, only=given.models).models
    # What shares another's weights brings none of its own.
    with_weights = [entry for entry in offered if entry.shares is None and not entry.generator.edits]
    problems = prefetch(with_weights, given.folder)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
