"""Grades a model by prompts it was not trained on: `python -m training.grade audio`, from services/gpu_worker.

Writes the numbers and a contact sheet beside the model, unless parameters other than the catalog's are tried.
"""

import argparse
import importlib
import json
from pathlib import Path
from typing import Any, cast

from contracts.catalog import read_catalog
from tqdm import tqdm

from training import exam
from training.__main__ import MEDIA, SHIPPED

EXAMS = {"audio": "training.audio_exam"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.grade", description=__doc__)
    parser.add_argument("medium", choices=sorted(EXAMS))
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=SHIPPED, help="of models, each in a folder of its name")
    parser.add_argument("--set", nargs="*", default=[], metavar="PARAMETER=VALUE", help="instead of the catalog's")
    arguments = parser.parse_args()
    examiner = cast("exam.Exam", importlib.import_module(EXAMS[arguments.medium]))
    params: dict[str, Any] = {name: json.loads(value) for name, value in (s.split("=", 1) for s in arguments.set)}
    [entry] = read_catalog(only=[examiner.MODEL]).models
    folder = arguments.folder / MEDIA[arguments.medium][1]
    pipeline = exam.load(entry, folder)
    asked = examiner.questions(arguments.prompts, arguments.seed)
    answers = [exam.answer(examiner, pipeline, question, params) for question in tqdm(asked, mininterval=5)]
    found = exam.grades(answers)
    print(json.dumps(found, indent=2))
    if not params:
        exam.write(folder, found, examiner.contact_sheet(answers))


if __name__ == "__main__":
    main()
