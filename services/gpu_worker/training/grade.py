"""Grades a model on held-out prompts: python -m training.grade MEDIUM [--prompts N] [--seed S] [--folder F]

Beside the model it writes grades.json and contact-sheet.png, and the table into README.md, the model's card.
"""

import argparse
import importlib
import json
import time
from pathlib import Path

from gpu_worker.engine.shipped_models import SHIPPED

from training.__main__ import MEDIA
from training.scoring.grades import Row

BEGIN, END = "<!-- grades -->", "<!-- end of grades -->"


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
    rows = list(grades.rows())
    report = {"seed": arguments.seed, "grades": [row._asdict() for row in rows]}
    (folder / "grades.json").write_text(json.dumps(report, indent=2) + "\n")
    sheet.save(folder / "contact-sheet.png", optimize=True)
    table = _table(rows)
    _put_into_card(folder / "README.md", table)
    print(f"{table}\n\n{(time.monotonic() - started) / 60:.1f} minutes")


def _table(rows: list[Row]) -> str:
    lines = [f"| {task} | {kind} | {right} | {of} | {right / of:.0%} |" for task, kind, right, of in rows]
    return "\n".join(["| task | kind of prompt | right | of | share |", "|---|---|---|---|---|", *lines])


def _put_into_card(card: Path, table: str) -> None:
    if card.is_file():
        before, _, rest = card.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        card.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    main()
