"""Dapr's publish API as the `Publisher` port."""

from contracts.events import Message

from chassis.sidecar import SDK_ERRORS, Sidecar, unavailable


class DaprPublisher:
    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    async def publish(self, message: Message) -> None:
        topic = message.topic
        try:
            await self._sidecar.client.publish_event(
                topic.component.value,
                topic.name,
                message.event.model_dump_json(exclude_none=True).encode(),
                publish_metadata={"partitionKey": message.key},
                data_content_type="application/cloudevents+json",
            )
        except SDK_ERRORS as error:
            raise unavailable(f"publishing {message.event.type} to {topic.name}", error) from error
