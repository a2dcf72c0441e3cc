"""What a page shows of a result before there is one."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests.e2e_admin.browser import Person
from tests.e2e_admin.studio import Studio
from tests.e2e_admin.test_watching import SLOW

SLOW_CLIP: dict[str, Any] = {
    "model": "tiny-video",
    "params": {"steps": 50, "guidance": 2, "frames": 97, "width": 192, "height": 192},
}
LONG = 120_000
PREVIEWS = "**/api/v1/media/previews/**"


def frame(editor: Person) -> Locator:
    return editor.panel.locator(".media-task-result__media")


def height(editor: Person) -> float:
    box = frame(editor).bounding_box()
    assert box is not None
    return box["height"]


@pytest.mark.parametrize(("medium", "request_"), [("image", SLOW), ("video", SLOW_CLIP)])
def test_a_running_task_shows_how_far_it_has_come_until_it_has_its_result(
    editor: Person, studio: Studio, project: int, http: httpx.Client, medium: str, request_: dict[str, Any]
) -> None:
    studio.ask(http, project, **SLOW)
    task = studio.ask(http, project, title="How it becomes a circle", **request_)
    editor.open(f"/{task}")
    expect(frame(editor)).to_be_visible()
    empty = height(editor)
    editor.shows_pixels(editor.preview)
    first = editor.preview.get_attribute("src")
    assert height(editor) == empty, "nothing moves"
    expect(editor.preview).to_have_accessible_name("Preview of How it becomes a circle")
    expect(editor.preview).not_to_have_attribute("src", str(first))
    editor.shows_pixels(editor.preview)
    editor.sees(r"Processing [6-9]\d %")
    editor.picture("preview") if medium == "image" else None
    expect(editor.badge()).to_have_text("Done", timeout=LONG)
    expect(editor.preview).to_have_count(0)
    expect(frame(editor).locator("img, video")).to_be_visible()
    assert height(editor) == empty
    assert editor.never_reloaded()


def test_a_preview_that_does_not_open_leaves_nothing_broken(
    editor: Person, studio: Studio, project: int, http: httpx.Client
) -> None:
    editor.tolerated = ("401",)
    editor.page.route(PREVIEWS, lambda route: route.fulfill(status=401, json={}))
    task = studio.ask(http, project, **SLOW)
    with editor.page.expect_response(PREVIEWS, timeout=LONG):
        editor.open(f"/{task}")
    expect(frame(editor).locator("svg")).to_be_visible()
    expect(frame(editor).get_by_role("img")).to_have_count(0)
    editor.page.unroute(PREVIEWS)
    editor.shows_pixels(editor.preview)
    # The one that is shown stays when the next is refused.
    editor.page.route(PREVIEWS, lambda route: route.fulfill(status=401, json={}))
    with editor.page.expect_response(PREVIEWS, timeout=LONG):
        pass
    editor.shows_pixels(editor.preview)
    editor.act("Cancel")
    expect(editor.badge()).to_have_text("Cancelled")
    expect(frame(editor)).to_have_count(0)
