"""What is said of when a task will be done."""

from datetime import datetime, timedelta
from typing import Any

from contracts.events import worker_heartbeat
from contracts.testing.examples import NOON, a_worker

from tests.contract.conftest import Api


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def run_through(api: Api, shown: dict[str, Any], seconds: float) -> None:
    """Lets the task be done in that time."""
    await api.start(shown["id"])
    api.world.clock.advance(seconds=seconds)
    await api.store(shown["id"])


async def test_a_task_says_from_the_start_when_it_will_be_done(api: Api) -> None:
    task = (await api.submit()).json()
    found = task["estimate"]
    assert NOON < moment(found["p50_at"]) < moment(found["p90_at"])
    assert task["deadline"] is None
    [message] = api.world.bus.messages
    assert message.event.data["task"]["estimate"] is not None, "watchers are told as well"


async def test_what_was_done_before_is_learned_from(api: Api) -> None:
    first = (await api.submit()).json()
    for _ in range(6):
        await run_through(api, (await api.submit()).json(), 100)
    api.world.clock.advance(seconds=5)
    now = api.world.clock.now()
    later = (await api.submit()).json()["estimate"]
    assert moment(later["p50_at"]) - now > moment(first["estimate"]["p50_at"]) - NOON + timedelta(seconds=60)


async def test_a_deadline_that_cannot_be_met_is_said_at_once(api: Api) -> None:
    soon = (await api.submit(due_at="2026-01-01T12:00:00.010Z")).json()
    late = (await api.submit(due_at="2026-01-09T12:00:00Z")).json()
    assert (soon["deadline"], late["deadline"]) == ("unlikely", "likely")


async def test_a_long_queue_and_more_workers_are_seen(api: Api) -> None:
    async def said() -> timedelta:
        api.world.clock.advance(seconds=3)
        answer = (await api.submit(priority="low")).json()
        return moment(answer["estimate"]["p50_at"]) - api.world.clock.now()

    alone = await said()
    for _ in range(20):
        await api.submit()
    crowded = await said()
    assert crowded > 5 * alone
    for number in range(4):
        worker = a_worker(worker_id=f"worker-{number}", sent_at=api.world.clock.now())
        await api.running.deliver(worker_heartbeat(worker, "test"))
    assert await said() < crowded / 2


async def test_where_a_task_is_tells_anew_and_an_ended_one_as_it_was(api: Api) -> None:
    task = (await api.submit()).json()
    api.world.clock.advance(minutes=10)
    shown = (await api.call("GET", f"/tasks/{task['id']}/status")).json()
    assert moment(shown["estimate"]["made_at"]) == NOON + timedelta(minutes=10)
    assert moment(shown["estimate"]["p50_at"]) > NOON + timedelta(minutes=10)
    await run_through(api, task, 5)
    ended = (await api.call("GET", f"/tasks/{task['id']}/status")).json()
    assert ended["estimate"] == task["estimate"]


async def test_what_is_scheduled_is_done_after_its_start(api: Api) -> None:
    task = (await api.submit(start_at="2026-01-02T12:00:00Z", due_at="2026-01-03T12:00:00Z")).json()
    assert moment(task["estimate"]["p50_at"]) > moment(task["start_at"])
    assert task["deadline"] == "likely"
