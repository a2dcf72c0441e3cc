import pytest
from contracts.testing import InMemoryObjects, InMemoryState
from contracts.testing.conformance import ObjectStoreConformance, StateStoreConformance


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
