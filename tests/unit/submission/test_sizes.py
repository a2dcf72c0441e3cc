"""Whatever a request may hold, each event about its task can be delivered: what cannot would never be stored."""

import random
from typing import Any

import pytest
from contracts.catalog import Catalog, ModelEntry, RequestValidator, read_catalog
from contracts.catalog.parameters import TextParameter
from contracts.errors import InvalidRequest
from contracts.events import LARGEST_EVENT, dead_letter, task_changed
from contracts.identifiers import task_id_for
from contracts.tasks import MAX_REMINDERS, MAX_TAGS, Advance, Assign, Complete, Phase, Produce, Task, apply
from contracts.testing.examples import NOON, media_result, produced_media
from submission.domain import Origin, new_task, request_digest

CATALOG = read_catalog()
ESCAPED = "\x01"
"""One byte, and six in JSON."""


def largest(entry: ModelEntry, catalog: Catalog = CATALOG) -> Task:
    """Of what the model takes."""
    texts = {name: one.max_length for name, one in entry.open_parameters.items() if isinstance(one, TextParameter)}
    raw: dict[str, Any] = {
        "model": entry.key,
        "params": {name: ESCAPED * length for name, length in texts.items()},
        "inputs": {name: task_id_for("p", name) for name in entry.inputs},
        "tags": [f"{number:02}" + ESCAPED * 62 for number in range(MAX_TAGS)],
        "title": ESCAPED * 200,
        "client_ref": ESCAPED * 200,
        "due_at": "2026-06-01T00:00:00Z",
        "reminders": [{"before_due_seconds": n, "note": ESCAPED * 200} for n in range(MAX_REMINDERS)],
    }
    request = RequestValidator(catalog).accept(raw, random.Random(1))
    return new_task(request, request_digest(raw), Origin("p" * 64, task_id_for("p", "a"), ESCAPED * 128), NOON)


@pytest.mark.parametrize("entry", CATALOG.models, ids=lambda entry: str(entry.key))
def test_the_largest_task_of_a_model_fits_into_every_event_about_it(entry: ModelEntry) -> None:
    task = largest(entry)
    for move in (
        Assign("worker-1", NOON),
        Advance(1, Phase.GENERATING),
        lambda found: Produce(1, produced_media(found), NOON),
        lambda found: Complete(1, media_result(found)),
    ):
        assert len(task_changed(task, "test").event.model_dump_json()) < LARGEST_EVENT
        task = apply(task, move(task) if callable(move) else move, NOON)
    assert task.phase is Phase.DONE
    assert len(task_changed(task, "test").event.model_dump_json()) < LARGEST_EVENT


def test_what_would_not_fit_is_refused_when_it_is_asked_for() -> None:
    [entry] = read_catalog(only=["tiny-image"]).models
    longer = entry.parameters["prompt"].model_copy(update={"max_length": 20_000})
    talkative = entry.model_copy(update={"parameters": entry.parameters | {"prompt": longer}})
    with pytest.raises(InvalidRequest) as refused:
        largest(talkative, CATALOG.model_copy(update={"models": (talkative,)}))
    [problem] = refused.value.errors
    assert problem.field == "params"


@pytest.mark.parametrize("body", [b"\x01", b"\\", b"\xff", "\N{GRINNING FACE}".encode()])
def test_a_dead_letter_fits_into_an_event_whatever_it_holds(body: bytes) -> None:
    letter = dead_letter("submission", "task-requests", "x" * 2000, body * LARGEST_EVENT, NOON)
    assert len(letter.event.model_dump_json()) < LARGEST_EVENT
