"""What is the same whatever order its keys came in."""

import hashlib
import json


def digest_of_json(value: object, kind: str | None = None) -> str:
    """The SHA-256, in hex, of a JSON value in its one canonical text; of another `kind`, the same value has another."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256((f"{kind} {text}" if kind else text).encode()).hexdigest()
