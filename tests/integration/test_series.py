"""A series on the real platform: its first instance is released, made and followed by the next."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.clients import ProjectClient
from tests.integration.platform import Platform

TEMPLATE = {"model": "tiny-image", "params": {"prompt": "a red circle", "steps": 2}}


async def look(project: ProjectClient, series_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await project.http.get(f"/api/v1/projects/{project.id}/series/{series_id}")).json()
    return found


async def with_instances(project: ProjectClient, series_id: str, first: int) -> list[dict[str, Any]]:
    """The instances, once there are ten, the first of them for that time of the series."""
    async with asyncio.timeout(120):
        while True:
            instances: list[dict[str, Any]] = (await look(project, series_id))["instances"]
            if len(instances) == 10 and instances[0]["at"] == time_of(await look(project, series_id), first):
                return instances
            await asyncio.sleep(0.1)


def time_of(series: dict[str, Any], place: int) -> str:
    start = datetime.fromisoformat(series["from_at"])
    return (start + place * timedelta(seconds=series["every_seconds"])).isoformat().replace("+00:00", "Z")


async def test_an_instance_starts_at_its_time_and_its_end_makes_the_next(platform: Platform) -> None:
    async with platform.project() as project:
        start = (datetime.now(UTC) + timedelta(seconds=8)).replace(microsecond=0)
        body = {"request": TEMPLATE, "every_seconds": 3600, "from_at": start.isoformat(), "overlap": "skip"}
        answer = await project.http.post(f"/api/v1/projects/{project.id}/series", json=body)
        assert answer.status_code == 201, answer.text
        series_id = answer.json()["id"]

        [first, *others] = await with_instances(project, series_id, 0)
        assert [one["at"] for one in others] == [time_of(answer.json(), place) for place in range(1, 10)]
        assert (await project.status(first["task_id"]))["phase"] == "scheduled"
        done = await project.wait(first["task_id"])
        assert done["status"] == "done"
        assert datetime.fromisoformat(done["started_at"]) >= start

        following = await with_instances(project, series_id, 1)
        assert [one["task_id"] for one in following[:9]] == [one["task_id"] for one in others]

        ended = await project.http.delete(f"/api/v1/projects/{project.id}/series/{series_id}")
        assert ended.json()["state"] == "ended"
        for instance in following:
            skipped = await project.wait(instance["task_id"], within=60)
            assert (skipped["phase"], skipped["error"]["code"]) == ("skipped", "series-changed")
