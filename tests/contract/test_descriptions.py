"""Events, OpenAPI and AsyncAPI as others see them, against golden files.

After a change that is meant: `UPDATE_GOLDEN=1 make test-unit`, and look at the difference.
"""

import json
from pathlib import Path

import pytest
from contracts.asyncapi import describe
from contracts.catalog import read_catalog
from contracts.events import BY_TYPE, EVENTS, parse, read_cloud_event
from contracts.testing.examples import an_event_of_each
from contracts.topics import TOPICS
from embedded.app import services
from embedded.credentials import Credentials

from tests.conftest import Serve, World
from tests.contract.conftest import embedded_in
from tests.contract.golden import FOLDER, matches

MESSAGES = {message.event.type: message for message in an_event_of_each()}


@pytest.mark.parametrize("type_", sorted(BY_TYPE))
def test_every_event_is_as_it_was(type_: str) -> None:
    message = MESSAGES[type_]
    event = json.loads(message.event.model_dump_json(exclude_none=True))
    assert matches(f"events/{type_}", {"topic": message.topic.name, "key": message.key, "event": event})


@pytest.mark.parametrize("type_", sorted(BY_TYPE))
def test_what_was_written_down_can_still_be_read(type_: str) -> None:
    kept = json.loads((FOLDER / "events" / f"{type_}.json").read_text())
    event = parse(read_cloud_event(json.dumps(kept["event"]).encode()))
    assert type(event) is BY_TYPE[type_]
    assert kept["topic"] in [topic.name for topic in event.topics]


def test_each_golden_event_is_of_a_type_that_exists() -> None:
    assert {path.stem for path in (FOLDER / "events").glob("*.json")} == set(BY_TYPE)


def test_asyncapi_names_every_topic_and_event() -> None:
    described = describe("0.1.0", TOPICS)
    assert set(described["channels"]) == {topic.name for topic in TOPICS}
    assert set(described["components"]["messages"]) == {type_ for event in EVENTS for type_ in event.types}
    assert matches("asyncapi", described)


async def test_openapi_is_as_it_was(world: World, serve: Serve, tmp_path: Path) -> None:
    world.catalog = read_catalog()
    all_services = services(embedded_in(tmp_path), Credentials(), "memory:///", world.outside)
    async with serve([service for service in all_services if service.routers]) as running:
        described = running.app.openapi()
    assert described["openapi"].startswith("3.1")
    assert matches("openapi", described)
