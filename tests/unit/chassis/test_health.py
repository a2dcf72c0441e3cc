"""What `/readyz` makes of what daprd says it delivers."""

import pytest
from chassis.health import sidecar_check
from contracts.errors import DependencyUnavailable
from contracts.topics import TASK_CONTROL, TASK_EVENTS


async def test_every_topic_has_to_be_delivered() -> None:
    held: set[tuple[str, str]] = set()

    async def subscriptions() -> set[tuple[str, str]]:
        return held

    check = sidecar_check(subscriptions, [TASK_EVENTS, TASK_CONTROL])
    with pytest.raises(DependencyUnavailable, match="does not deliver broadcast/task-control, events/task-events"):
        await check()
    held |= {("events", "task-events"), ("events", "others")}
    with pytest.raises(DependencyUnavailable, match=r"does not deliver broadcast/task-control$"):
        await check()
    held.add(("broadcast", "task-control"))
    await check()
