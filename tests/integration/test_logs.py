"""One id follows a task through every service's log, and no log holds a secret."""

import asyncio
import json
from typing import Any

from tests.clients import receiver
from tests.integration.platform import Platform


def lines_of(platform: Platform, correlation_id: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in platform.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("correlation_id") == correlation_id]


def services_in(lines: list[dict[str, Any]]) -> set[str]:
    return {line["logger"].partition(".")[0] for line in lines}


async def test_one_correlation_id_through_all_services(platform: Platform) -> None:
    async with platform.project() as project, receiver(project) as hooks:
        project.http.headers["X-Correlation-ID"] = "shot-42"
        task = await project.make()
        await hooks.wait_for(1)
        del project.http.headers["X-Correlation-ID"]
        async with asyncio.timeout(30):
            # The receiver has the webhook a moment before its sender has written down that it was sent.
            while "notification" not in services_in(told := lines_of(platform, "shot-42")):
                await asyncio.sleep(0.05)
        assert services_in(told) == {"chassis", "submission", "scheduling", "gpu_worker", "storage", "notification"}
        about = [line["event"] for line in told if line.get("task_id") == task["id"]]
        assert about[:2] == ["task accepted", "task assigned"]
        assert about[-1] == "the task has left storage"
        assert task["correlation_id"] == "shot-42"
        assert project.key not in platform.log
        assert platform.credentials.admin_key not in platform.log
