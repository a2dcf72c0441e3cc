"""What the state store is not even asked for."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from chassis.sidecar import Sidecar
from chassis.state import DaprStateStore


@pytest.mark.parametrize("key", ["task:\0", "task:a||b"])
async def test_a_key_that_cannot_be_is_not_asked_for(key: str) -> None:
    """Each such answer of the store would count as a failure, until its circuit is broken for everybody."""
    asked: list[str] = []

    async def get_state(_store: str, wanted: str) -> Any:
        asked.append(wanted)

    sidecar = cast("Sidecar", SimpleNamespace(client=SimpleNamespace(get_state=get_state)))
    assert await DaprStateStore(sidecar, "taskstate").get(key) is None
    assert asked == []
