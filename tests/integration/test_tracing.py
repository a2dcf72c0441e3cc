"""One trace from a content system's event to the webhook, over everything that lies between."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from contracts.identifiers import task_id_for

from tests.clients import ProjectClient, receiver
from tests.collector import Collector, Told, collector, picture, tree
from tests.integration.platform import SETTINGS, Platform

SLOW = {"steps": 50, "width": 256, "height": 256}


@asynccontextmanager
async def traced(folder: Path, **more: str) -> AsyncIterator[tuple[Platform, Collector]]:
    async with collector() as found:
        settings = {
            "MOVIE_TASKS_TRACING_ENDPOINT": found.endpoint,
            "MOVIE_TASKS_TRACING_HEADERS": "authorization=Bearer%20let-me-in",
        }
        platform = Platform(folder, settings={**SETTINGS, **settings, **more})
        await asyncio.to_thread(platform.start)
        try:
            yield platform, found
        finally:
            await asyncio.to_thread(platform.stop)


async def ask(project: ProjectClient, click: str, **params: object) -> str:
    """Publishes what a content system would, within a trace of its own."""
    event_id = secrets.token_hex(8)
    request = {"project_id": project.id, "model": "tiny-image", "params": {"prompt": "a-secret-prompt", **params}}
    event = {
        "specversion": "1.0", "id": event_id, "source": "/payload", "type": "task.requested.v1",
        "correlationid": event_id, "traceparent": click, "traceid": click, "data": request,
    }  # fmt: skip
    assert await project.publish_raw("task-requests", json.dumps(event).encode()) == 204
    return task_id_for(project.id, event_id)


def a_click(flags: str = "01") -> tuple[str, str]:
    """A span of the content system, and its trace."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return f"00-{trace_id}-{span_id}-{flags}", trace_id


def has(found: Collector, trace_id: str, name: str) -> bool:
    return any(span.name == name for span in found.of(trace_id))


async def test_one_trace_from_the_event_to_the_webhook(tmp_path: Path) -> None:
    async with traced(tmp_path) as (platform, found), platform.project() as project, receiver(project) as hooks:
        # Not sampled by whoever asks, who has no say in it.
        click, trace_id = a_click(flags="00")
        task_id = await ask(project, click, steps=8)
        await hooks.wait_for(1)
        await found.wait_for(lambda: has(found, trace_id, "webhook") and has(found, trace_id, "task"))
        spans = found.of(trace_id)
        asked = "task-requests process"
        assert tree(spans) == [
            f"{asked} (submission)",
            f"{asked} > task (storage)",
            f"{asked} > task > queued (scheduling)",
            f"{asked} > task > assigned (gpu-worker-image)",
            f"{asked} > task > run (gpu-worker-image)",
            *([f"{asked} > task > run > loading_model (gpu-worker-image)"] if was_loaded(spans) else []),
            f"{asked} > task > run > generating (gpu-worker-image)",
            f"{asked} > task > run > encoding (gpu-worker-image)",
            f"{asked} > task > storing (storage)",
            f"{asked} > task > webhook (notification)",
        ]
        assert spans[0].parent_id == click.split("-")[2]
        [webhook] = [span for span in spans if span.name == "webhook"]
        assert hooks.traceparents == [f"00-{trace_id}-{webhook.span_id}-01"]
        [match] = [span for span in found.spans if span.name == "match" and trace_id in dict(span.links)]
        assert match.trace_id != trace_id
        assert {span.attributes["movie_tasks.task.id"] for span in spans[1:-1]} == {task_id}
        nothing_leaks(found, platform, project)
        assert hooks.url not in repr(found.spans)
        lines = [json.loads(line) for line in platform.log.splitlines() if line.startswith("{")]
        ours = [line for line in lines if line.get("trace_id") == trace_id]
        assert {line["logger"].partition(".")[0] for line in ours} == {
            "submission", "scheduling", "gpu_worker", "storage", "notification",
        }  # fmt: skip
        about_the_run = [line for line in ours if line["event"] == "the run goes on"]
        assert {(line["task_id"], line["project_id"], line["attempt"]) for line in about_the_run} == {
            (task_id, project.id, 1)
        }
        assert found.headers[0]["authorization"] == "Bearer let-me-in"
        (tmp_path / "trace.txt").write_text(picture(spans))


async def begun(project: ProjectClient, task_id: str) -> None:
    """The event has become a task."""
    async with asyncio.timeout(30):
        while (await project.http.get(f"/api/v1/tasks/{task_id}/status")).status_code == 404:
            await asyncio.sleep(0.02)


def was_loaded(spans: list[Told]) -> bool:
    return any(span.name == "loading_model" for span in spans)


def nothing_leaks(found: Collector, platform: Platform, project: ProjectClient) -> None:
    told = repr(found.spans)
    for secret in ("a-secret-prompt", project.key, platform.credentials.admin_key, "let-me-in"):
        assert secret not in told
    assert "let-me-in" not in platform.log


async def test_a_task_whose_worker_was_lost_stays_in_its_trace(tmp_path: Path) -> None:
    """The whole process is killed while it generates, so nobody who began the run can tell of it."""
    async with traced(tmp_path) as (platform, found), platform.project("film") as project, receiver(project) as hooks:
        click, trace_id = a_click()
        task_id = await ask(project, click, **SLOW)
        await begun(project, task_id)
        await project.wait(task_id, "generating")
        platform.kill()
        await asyncio.to_thread(platform.start)
        await hooks.wait_for(1, within=120)
        await found.wait_for(lambda: has(found, trace_id, "webhook") and has(found, trace_id, "task"))
        runs = [span for span in found.of(trace_id) if span.name == "run"]
        assert [(span.service, span.error, span.attributes["movie_tasks.attempt"]) for span in runs] == [
            ("scheduling", "worker-lost", 1),
            ("gpu-worker-image", "", 2),
        ]
        assert runs[0].end <= runs[1].start
        assert len({span.parent_id for span in runs}) == 1
        [task] = [span for span in found.of(trace_id) if span.name == "task"]
        assert (task.span_id, task.attributes["movie_tasks.then"]) == (runs[0].parent_id, "done")


async def test_requests_by_http_are_spans_named_by_their_routes_and_a_ratio_leaves_traces_out(tmp_path: Path) -> None:
    async with (
        traced(tmp_path, MOVIE_TASKS_TRACING_SAMPLE_RATIO="0.5") as (platform, found),
        platform.project() as project,
    ):
        told, untold = f"{'a' * 16}{'7' * 16}", f"{'a' * 16}{'8' * 16}"
        for trace_id in (untold, told):
            project.http.headers["traceparent"] = f"00-{trace_id}-{'b' * 16}-01"
            task = await project.submit(params={"steps": 1})
            await project.wait(task["id"])
            await project.http.get(f"/api/v1/media/{task['result']}?api_key={project.key}")
        await found.wait_for(lambda: has(found, told, "task"))
        paths = tree(found.of(told))
        assert "POST /api/v1/tasks/submit (submission)" in paths
        assert "POST /api/v1/tasks/submit > task > storing (storage)" in paths
        assert "GET /api/v1/tasks/{task_id}/status (submission)" in paths
        assert found.of(untold) == []
        nothing_leaks(found, platform, project)


async def test_a_collector_that_is_away_costs_a_line_and_holds_nothing_up(tmp_path: Path) -> None:
    nowhere = {"MOVIE_TASKS_TRACING_ENDPOINT": "http://127.0.0.1:9"}
    platform = Platform(tmp_path, settings={**SETTINGS, **nowhere})
    await asyncio.to_thread(platform.start)
    try:
        async with platform.project() as project:
            for _ in range(3):
                await project.make(params={"steps": 1})
            await asyncio.sleep(8)  # longer than it takes to give a batch up
    finally:
        async with asyncio.timeout(20):
            await asyncio.to_thread(platform.stop)
    lines = [json.loads(line) for line in platform.log.splitlines() if line.startswith("{")]
    said = [datetime.fromisoformat(line["timestamp"]) for line in lines if line["logger"].startswith("opentelemetry")]
    assert said
    assert all(later - earlier > timedelta(seconds=59) for earlier, later in pairwise(said))
