import pytest
from contracts.errors import DependencyUnavailable
from contracts.events import CloudEvent, Message
from contracts.testing import InMemoryBus, InMemoryObjects, InMemoryState
from contracts.testing.conformance import ObjectStoreConformance, PubSubConformance, StateStoreConformance
from contracts.topics import TASK_EVENTS


class TestInMemoryState(StateStoreConformance):
    @pytest.fixture
    def store(self) -> InMemoryState:
        return InMemoryState()

    @pytest.fixture
    def prefix(self) -> str:
        return "test"


class TestInMemoryObjects(ObjectStoreConformance):
    @pytest.fixture
    def objects(self) -> InMemoryObjects:
        return InMemoryObjects()


class InMemoryLine:
    def __init__(self) -> None:
        self.topic, self.refusals = TASK_EVENTS, 0
        self.heard: list[CloudEvent] = []
        self._bus = InMemoryBus()
        self._bus.subscribe(self.topic.name, self._hear)

    async def publish(self, message: Message) -> None:
        await self._bus.publish(message)

    async def _hear(self, message: Message) -> None:
        if self.refusals:
            self.refusals -= 1
            raise DependencyUnavailable("not now")
        self.heard.append(message.event)


class TestInMemoryBus(PubSubConformance):
    @pytest.fixture
    def line(self) -> InMemoryLine:
        return InMemoryLine()
