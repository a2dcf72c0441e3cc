"""The AsyncAPI 3.0 description of every topic and event, derived from their definitions."""

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from contracts.events import EVENTS, CloudEvent, Event
from contracts.topics import TOPICS, Component, Topic

_DELIVERY = {
    Component.EVENTS: "Each event once per service, from the oldest on.",
    Component.BROADCAST: "Each event to every replica, from now on.",
}


def describe(version: str, received: Iterable[Topic]) -> dict[str, Any]:
    """The description of the whole bus, with a `receive` operation for each topic the caller subscribes to."""
    _, definitions = models_json_schema(
        [(event, "serialization") for event in EVENTS], ref_template="#/components/schemas/{model}"
    )
    attributes = CloudEvent.model_json_schema()["properties"]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Movie Tasks events",
            "version": version,
            "description": "CloudEvents 1.0 in JSON. An event's data grows only by optional fields within a version.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {f"receive-{topic.name}": _receive(topic) for topic in received},
        "components": {
            "messages": {type_: _message(event, type_, attributes) for event in EVENTS for type_ in event.types},
            "schemas": definitions["$defs"],
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    types = [type_ for event in EVENTS if topic in event.topics for type_ in event.types]
    return {
        "address": topic.name,
        "description": f"Component `{topic.component.value}`. {_DELIVERY[topic.component]}",
        "messages": {type_: {"$ref": f"#/components/messages/{type_}"} for type_ in types},
    }


def _receive(topic: Topic) -> dict[str, Any]:
    return {"action": "receive", "channel": {"$ref": f"#/channels/{topic.name}"}}


def _message(event: type[Event], type_: str, attributes: dict[str, Any]) -> dict[str, Any]:
    data = {"$ref": f"#/components/schemas/{event.__name__}"}
    return {
        "name": type_,
        "summary": (event.__doc__ or "").strip().splitlines()[0],
        "payload": {
            "type": "object",
            "required": ["specversion", "id", "source", "type", "data"],
            "properties": {**attributes, "type": {"const": type_}, "data": data},
        },
    }
