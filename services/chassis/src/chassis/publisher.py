"""Dapr's publish API as the `Publisher` port."""

import json

from contracts.events import CloudEvent, Message

from chassis.sidecar import SDK_ERRORS, Sidecar, unavailable


def as_published(event: CloudEvent) -> bytes:
    """daprd puts its own trace in the place of an event's, unless the event has its older name for one as well."""
    attributes = event.model_dump(mode="json", exclude_none=True)
    if event.traceparent is not None:
        attributes["traceid"] = event.traceparent
    return json.dumps(attributes, separators=(",", ":"), ensure_ascii=False).encode()


class DaprPublisher:
    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    async def publish(self, message: Message) -> None:
        topic = message.topic
        try:
            await self._sidecar.client.publish_event(
                topic.component.value,
                topic.name,
                as_published(message.event),
                publish_metadata={"partitionKey": message.key},
                data_content_type="application/cloudevents+json",
            )
        except SDK_ERRORS as error:
            raise unavailable(f"publishing {message.event.type} to {topic.name}", error) from error
