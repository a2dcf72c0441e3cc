"""Reminders on the whole platform: exact, once, and marked when they come late."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from scheduling.handlers.reminding import HEARD_WITHIN

from tests.clients import receiver
from tests.integration.platform import Platform

StartPlatform = Callable[[], Platform]
FAR = timedelta(days=30)


def after(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_a_task_that_starts_far_ahead_is_reminded_of_in_time(platform: Platform) -> None:
    async with platform.project() as project, receiver(project) as hooks:
        moment = after(2)
        task = await project.submit(start_at=after(FAR.total_seconds()), reminders=[{"at": moment, "note": "soon"}])
        await hooks.wait_for(1)
        late = datetime.now(UTC) - datetime.fromisoformat(moment)
        [told] = hooks.received
        assert (told["type"], told["data"]["task_id"], told["data"]["note"]) == ("task.reminder.v1", task["id"], "soon")
        assert told["data"]["late_seconds"] is None
        assert timedelta() <= late < timedelta(seconds=5)
        assert (await project.status(task["id"]))["phase"] == "scheduled"


async def test_the_whole_process_killed_over_the_moment(own_platform: StartPlatform) -> None:
    own = own_platform()
    async with own.project("film") as project, receiver(project) as hooks:
        moment = after(3)
        task = await project.submit(start_at=after(FAR.total_seconds()), reminders=[{"at": moment}])
        own.kill()
        await asyncio.sleep(9)
        # In a thread, as the receiver has to answer meanwhile.
        await asyncio.to_thread(own.start)
        await hooks.wait_for(1)
        await asyncio.sleep(HEARD_WITHIN.total_seconds() + 3)  # for a second time that must not come
        [told] = hooks.received
        assert (told["type"], told["data"]["task_id"]) == ("task.reminder.v1", task["id"])
        assert told["data"]["late_seconds"] > 5
