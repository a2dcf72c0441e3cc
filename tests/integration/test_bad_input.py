"""Malformed, oversized, repeated, replayed and forged events: answered with a reason, and nothing held up."""

import asyncio
import json
import time
from typing import Any

import pytest
from contracts.events import LARGEST_EVENT

from tests.clients import ProjectClient, receiver
from tests.integration.platform import Platform


def an_event(project_id: str, event_id: str, **changes: Any) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/payload",
        "type": "task.requested.v1",
        "data": {"project_id": project_id, "model": "tiny-image", "params": {"prompt": "x", "steps": 1}},
    }
    return {**event, **changes}


async def wait_for_letter(project: ProjectClient, sign: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            for letter in await project.dead_letters():
                if sign in letter["event"]:
                    return letter
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "task.requested.v9"}, "unknown event type"),
        ({"type": "task.changed.v1"}, "unknown event type"),
        ({"type": "worker.heartbeat.v1"}, "worker.heartbeat.v1"),
        ({"data": {"model": "tiny-image"}}, "project_id"),
        ({"data": {"project_id": "../../etc"}}, "project_id"),
        ({"data": "just text"}, "data"),
        ({"data": None}, "data"),
    ],
)
async def test_an_event_off_the_schema_is_dead_lettered_with_the_reason(
    platform: Platform, changes: dict[str, Any], reason: str
) -> None:
    async with platform.project() as project:
        sign = f"malformed-{time.monotonic_ns()}"
        assert (
            await project.publish_raw("task-requests", json.dumps(an_event(project.id, sign, **changes)).encode())
            == 204
        )
        letter = await wait_for_letter(project, sign)
        assert letter["topic"] == "task-requests"
        assert reason in letter["reason"]


async def test_what_is_no_cloudevent_is_dead_lettered(platform: Platform) -> None:
    async with platform.project() as project:
        sign = f"plain-{time.monotonic_ns()}"
        assert await project.publish_raw("task-requests", sign.encode(), "text/plain") == 204
        assert "data" in (await wait_for_letter(project, sign))["reason"]


async def test_an_oversized_event_is_dead_lettered(platform: Platform) -> None:
    async with platform.project() as project:
        sign = f"oversized-{time.monotonic_ns()}"
        data = {"model": sign, "params": {"prompt": "x" * LARGEST_EVENT}, "project_id": project.id}
        event = an_event(project.id, sign, data=data)
        assert await project.publish_raw("task-requests", json.dumps(event).encode()) == 204
        letter = await wait_for_letter(project, sign)
        assert "an event holds at most" in letter["reason"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"model": "no-such-model"}, "model"),
        ({"params": {"prompt": "x", "width": 4096}}, "params.width"),
        ({"tags": list("abcdef")}, "tags"),
        ({"model": "tiny-image-edit", "inputs": {"image": "00000000-0000-0000-0000-000000000000"}}, "inputs.image"),
    ],
)
async def test_a_request_outside_the_catalog_is_rejected_by_event_and_webhook(
    platform: Platform, request_: dict[str, Any], field: str
) -> None:
    async with platform.project() as project, receiver(project) as hooks:
        await project.publish("media-task-1", client_ref="1", **request_)
        await hooks.wait_for(1)
        [told] = hooks.received
        assert told["type"] == "task.rejected.v1"
        assert told["data"]["client_ref"] == "1"
        assert told["data"]["problem"]["errors"][0]["field"] == field
        assert await project.tasks() == []


async def test_a_request_for_a_project_that_does_not_exist_makes_no_task(platform: Platform) -> None:
    async with platform.project() as project, receiver(project) as hooks:
        await project.publish("media-task-1", project_id="nobody")
        await project.publish("media-task-2", params={"prompt": "x", "steps": 1})
        await hooks.wait_for(1)
        assert hooks.types == ["task.done.v1"]


async def test_a_repeated_event_is_one_task_and_another_body_is_rejected(platform: Platform) -> None:
    async with platform.project() as project, receiver(project) as hooks:
        for _ in range(5):
            await project.publish("media-task-1", params={"prompt": "x", "steps": 1})
        await hooks.wait_for(1)
        await project.publish("media-task-1", params={"prompt": "another", "steps": 1})
        await hooks.wait_for(2)
        assert hooks.types == ["task.done.v1", "task.rejected.v1"]
        assert hooks.received[1]["data"]["problem"]["code"] == "idempotency-mismatch"
        assert len(await project.tasks()) == 1


async def test_a_poisonous_event_does_not_delay_the_next_good_one(platform: Platform) -> None:
    async with platform.project() as project, receiver(project) as hooks:
        await project.make(params={"steps": 1})
        await hooks.wait_for(1)
        for number in range(20):
            poison = an_event(project.id, f"poison-{number}", data={"project_id": 7})
            await project.publish_raw("task-requests", json.dumps(poison).encode())
        started = time.monotonic()
        await project.publish("media-task-good", params={"prompt": "x", "steps": 1})
        await hooks.wait_for(2)
        assert time.monotonic() - started < 5


async def test_old_and_forged_news_do_not_change_a_task(platform: Platform) -> None:
    """Replayed in reverse order, and with a higher seq than the record has ever had."""
    async with platform.project() as project:
        task = await project.make(params={"steps": 1})
        history = await project.history(task["id"])
        record = {**task, "request_digest": "d" * 64, "phase_since": task["created_at"], "deadline": task["created_at"]}
        record |= {"time_limit_seconds": 60, "phase": "queued", "result": None, "produced": None}
        for seq in (1, 999):
            data = {"task": {**record, "seq": seq}}
            forged = an_event(project.id, f"{task['id']}:{seq}", type="task.accepted.v1", data=data)
            assert await project.publish_raw("task-events", json.dumps(forged).encode()) == 204
        await asyncio.sleep(1)
        assert await project.status(task["id"]) == task
        assert [entry for entry in await project.history(task["id"]) if entry["seq"] < 999] == history
