"""Two versions side by side, as while an upgrade rolls out: the older reads what the newer has written."""

import json
from typing import Any

import pytest
from contracts.budgets import Budget, Per
from contracts.events import BY_TYPE, TaskRequested, parse, read_cloud_event
from contracts.projects import Project
from contracts.testing.examples import NOON, an_event_of_each
from pydantic import BaseModel

UNKNOWN = {"of_a_newer_version": {"nested": [1]}}
MESSAGES = {message.event.type: message for message in an_event_of_each()}


def as_if_newer(read: object, written: Any) -> Any:
    """What was written, with one field more in each object whose fields the contracts name."""
    if isinstance(read, BaseModel):
        known = {name: as_if_newer(getattr(read, name, None), value) for name, value in written.items()}
        return known | UNKNOWN
    if isinstance(read, (list, tuple)):
        return [as_if_newer(one, other) for one, other in zip(read, written, strict=True)]
    return written


@pytest.mark.parametrize("type_", sorted(name for name, event in BY_TYPE.items() if event is not TaskRequested))
def test_an_event_that_says_more_says_the_same(type_: str) -> None:
    written = json.loads(MESSAGES[type_].event.model_dump_json())
    event = read_cloud_event(json.dumps(written).encode())
    data = parse(event)
    newer = written | {"data": as_if_newer(data, written["data"]), "extension": "new"}
    assert "of_a_newer_version" in json.dumps(newer["data"])
    assert parse(read_cloud_event(json.dumps(newer).encode())) == data


def test_a_record_that_says_more_says_the_same() -> None:
    """Tasks are in the events already; a project has what people send, which is closed to what is misspelt."""
    budget = Budget(gpu_seconds=60, per=Per.MONTH)
    project = Project(id="p1", name="one", created_at=NOON, budget=budget, budget_since=NOON)
    newer = as_if_newer(project, json.loads(project.model_dump_json()))
    assert Project.model_validate_json(json.dumps(newer)) == project
