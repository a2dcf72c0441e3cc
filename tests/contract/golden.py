"""Golden files: what others rely on, written down. A change of one must be meant."""

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"


def matches(name: str, found: Any) -> bool:
    """Whether the value is what the golden file says.

    With `UPDATE_GOLDEN=1` the file is written anew; the difference is then for the review.
    """
    path = FOLDER / f"{name}.json"
    text = json.dumps(found, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path.is_file() and path.read_text(encoding="utf-8") == text
