"""How long after it was published something is shown, on one machine with one clock."""

import math
import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
from contracts.events import TaskProgressed
from contracts.events.messages import task_progressed
from contracts.tasks import Phase, ProcessingProgress
from playwright.sync_api import expect

from tests.e2e_admin.browser import Person
from tests.e2e_admin.studio import Studio
from tests.e2e_admin.test_watching import SLOW

PROGRESS = 40
APART_SECONDS = 0.1
QUICK_TASKS = 6
SOON_MS = 2000
"""Wide, for machines that are busy with other things: what is measured on a quiet one is in the plugin's README."""


def test_what_happens_is_shown_at_once(editor: Person, studio: Studio, project: int, http: httpx.Client) -> None:
    # The worker has enough to do for the measured task to run only as far as is told here.
    busy = [studio.ask(http, project, **SLOW) for _ in range(6)]
    waiting = studio.ask(http, project, title="Measured", priority="low", **SLOW)
    editor.open(f"/{waiting}")
    expect(editor.badge()).to_have_text("Pending")
    editor.page.wait_for_function("window.lastFeed?.readyState === 1")

    published = _publish_progress(studio, studio.read(http, waiting)["taskId"], studio.service_project(project))
    expect(editor.badge()).to_have_text(f"Processing {PROGRESS} %")
    shown = {seen["text"]: seen["at"] for seen in editor.seen()}
    in_dom = [shown[text] - at for text, at in published.items() if text in shown]
    for task in (*busy, waiting):
        http.post(f"/media-tasks/{task}/cancel", json={})

    for _ in range(QUICK_TASKS):
        studio.until(http, studio.ask(http, project, params={"steps": 2, "seed": secrets.randbelow(1000)}), "done")
    editor.page.wait_for_timeout(500)
    heard = editor.page.evaluate("window.heardEvents.filter(({ data }) => data.updated_at)")
    in_handler = [one["at"] - _milliseconds(one["data"]["updated_at"]) for one in heard]

    assert len(in_dom) >= PROGRESS * 3 // 4
    assert len(in_handler) >= 30
    for what, taken in (("progress, to the DOM", in_dom), ("a task's change, to the handler", in_handler)):
        row = f"{what}: p50 {_percentile(taken, 50):.0f} ms, p95 {_percentile(taken, 95):.0f} ms, {len(taken)} events\n"
        sys.stdout.write(row)
        assert _percentile(taken, 50) < SOON_MS, row


def _publish_progress(studio: Studio, task_id: str, project_id: str) -> dict[str, float]:
    """When each of a run's steps was told to the sidecar, by what the badge then says."""
    published = {}
    headers = {"dapr-api-token": studio.access.dapr_api_token, "Content-Type": "application/cloudevents+json"}
    with httpx.Client(base_url=studio.access.dapr, headers=headers, trust_env=False) as sidecar:
        for step in range(1, PROGRESS + 1):
            progress = ProcessingProgress(step=step, total=100, fraction=step / 100)
            told = TaskProgressed(
                task_id=task_id, project_id=project_id, attempt=1, phase=Phase.GENERATING, progress=progress
            )
            message = task_progressed(told, "test", datetime.now(UTC))
            at = time.time() * 1000
            path = f"/v1.0/publish/{message.topic.component.value}/{message.topic.name}"
            sidecar.post(path, content=message.event.model_dump_json(exclude_none=True)).raise_for_status()
            published[f"Processing {step} %"] = at
            time.sleep(APART_SECONDS)
    return published


def _milliseconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() * 1000


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
