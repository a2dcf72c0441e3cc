"""What a model is asked, and what came of it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import diffusers
import torch
from contracts.catalog import ModelEntry, read_catalog
from gpu_worker.engine.generators import RawMedia, generate
from PIL import Image


@dataclass(frozen=True)
class Question:
    """A prompt never trained on, the scene it describes, and the seed to answer it from."""

    prompt: str
    scene: Any
    kind: str
    seed: int


@dataclass(frozen=True)
class Answer:
    question: Question
    media: RawMedia
    faults: list[str]


class Exam(Protocol):
    """Of one medium: a module with these functions."""

    MODEL: str
    """The catalog's key of the model that is asked."""

    def questions(self, count: int, seed: int) -> list[Question]: ...

    def faults(self, media: RawMedia, scene: Any) -> list[str]: ...

    def contact_sheet(self, answers: Sequence[Answer]) -> Image.Image: ...


def load(entry: ModelEntry, folder: Path) -> Any:
    """The pipeline in `folder` as a worker loads it."""
    pipeline = getattr(diffusers, entry.pipeline).from_pretrained(
        folder, dtype=getattr(torch, entry.dtype), use_safetensors=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def answer(exam: Exam, pipeline: Any, question: Question, params: Mapping[str, Any] | None = None) -> Answer:
    """By the catalog's defaults, except for what `params` says."""
    [entry] = read_catalog(only=[exam.MODEL]).models
    given: dict[str, Any] = {"prompt": question.prompt, "seed": question.seed} | dict(params or {})
    defaults = {name: p.default for name, p in entry.parameters.items() if p.default not in (None, "random")}
    media = generate(pipeline, entry, defaults | given, {}, lambda _step, _steps: None)
    return Answer(question, media, exam.faults(media, question.scene))


def grades(answers: Sequence[Answer]) -> dict[str, Any]:
    """How many were right, of each kind and in all, and how often each thing was wrong."""
    asked = Counter(answer.question.kind for answer in answers)
    right = Counter(answer.question.kind for answer in answers if not answer.faults)
    return {
        "prompts": len(answers),
        "right": right.total(),
        "share": round(right.total() / len(answers), 3),
        "kinds": {kind: {"prompts": asked[kind], "right": right[kind]} for kind in sorted(asked)},
        "faults": dict(Counter(fault for answer in answers for fault in answer.faults).most_common()),
    }


def write(folder: Path, found: dict[str, Any], sheet: Image.Image) -> None:
    (folder / "grades.json").write_text(json.dumps(found, indent=2) + "\n")
    sheet.quantize(128).save(folder / "contact-sheet.png", optimize=True)
