"""One id follows a task through every service's log, and no log holds a secret."""

import json
from typing import Any

from tests.integration.platform import Platform, receiver


def lines_of(platform: Platform, correlation_id: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in platform.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("correlation_id") == correlation_id]


async def test_one_correlation_id_through_all_services(platform: Platform) -> None:
    async with platform.project() as project, receiver(project) as hooks:
        project.http.headers["X-Correlation-ID"] = "shot-42"
        task = await project.make()
        await hooks.wait_for(1)
        del project.http.headers["X-Correlation-ID"]
        told = lines_of(platform, "shot-42")
        services = {line["logger"].partition(".")[0] for line in told}
        assert services == {"chassis", "submission", "scheduling", "gpu_worker", "storage", "notification"}
        about = [line["event"] for line in told if line.get("task_id") == task["id"]]
        assert about[:2] == ["task accepted", "task assigned"]
        assert about[-1] == "the task has left storage"
        assert task["correlation_id"] == "shot-42"
        assert project.key not in platform.log
        assert platform.credentials.admin_key not in platform.log
