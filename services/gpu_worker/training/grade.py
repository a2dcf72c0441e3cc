"""Grades a model on held-out prompts: python -m training.grade MEDIUM [--prompts N] [--seed S] [--folder F]

Beside the model it writes grades.json and contact-sheet.png.
"""

import argparse
import importlib
import json
import time
from pathlib import Path

from training.__main__ import MEDIA, SHIPPED


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.grade", description="Grade one of the small models.")
    parser.add_argument("medium", choices=sorted(MEDIA))
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=SHIPPED, help="where the models' folders are")
    arguments = parser.parse_args()
    grading = importlib.import_module(f"training.scoring.{arguments.medium}_grading")
    folder = arguments.folder / MEDIA[arguments.medium][1]
    started = time.monotonic()
    grades, sheet = grading.grade(folder, arguments.prompts, arguments.seed)
    report = {
        task: {kind: {"right": sum(rights), "of": len(rights)} for kind, rights in sorted(kinds.items())}
        for task, kinds in grades.items()
    }
    (folder / "grades.json").write_text(json.dumps({"seed": arguments.seed, "grades": report}, indent=2) + "\n")
    sheet.save(folder / "contact-sheet.png", optimize=True)
    print(f"\n{'task':<16} {'kind':<12} {'right':>5} {'of':>5} {'share':>6}")
    for task, kinds in grades.items():
        for kind, rights in [*sorted(kinds.items()), ("all", [right for some in kinds.values() for right in some])]:
            print(f"{task:<16} {kind:<12} {sum(rights):>5} {len(rights):>5} {sum(rights) / len(rights):>6.1%}")
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
