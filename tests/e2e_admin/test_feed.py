"""The live feed of a page: lost, had again and done without."""

import httpx
from playwright.sync_api import expect

from tests.e2e_admin.browser import Person
from tests.e2e_admin.studio import Studio
from tests.e2e_admin.test_watching import SLOW, percents

TICKETS = "**/api/media-tasks/live?*"


def test_a_page_without_the_feed_asks_for_the_document(
    editor: Person, studio: Studio, project: int, http: httpx.Client
) -> None:
    editor.tolerated = ("503",)
    editor.page.route(TICKETS, lambda route: route.fulfill(status=503, json={"errors": [{"message": "away"}]}))
    task = studio.ask(http, project, **SLOW)
    editor.open(f"/{task}")
    expect(editor.badge()).to_have_text("Done", timeout=120_000)
    assert editor.page.evaluate("window.openedFeeds") == 0
    assert editor.never_reloaded()
    editor.shows_pixels(editor.panel.get_by_role("img", name="Result of"))


def test_a_feed_that_breaks_off_is_opened_again_where_it_was(
    editor: Person, studio: Studio, project: int, http: httpx.Client
) -> None:
    opened: list[str] = []
    editor.page.on("request", lambda request: opened.append(request.url) if "/live/projects/" in request.url else None)
    task = studio.ask(http, project, **SLOW)
    editor.open(f"/{task}")
    editor.page.wait_for_function("window.heardEvents.some(({ type }) => type === 'task.progressed.v1')")
    editor.page.wait_for_function("window.heardEvents.some(({ id }) => id)")
    with editor.page.expect_request(lambda request: "/live/projects/" in request.url):
        editor.page.evaluate("window.lastFeed.onerror(new Event('error'))")
    expect(editor.badge()).to_have_text("Done", timeout=120_000)
    assert len(opened) == 2
    assert "last_event_id=" in opened[1]
    assert opened[0].split("ticket=")[1] != opened[1].split("ticket=")[1].split("&")[0]
    counted = percents(editor)
    assert counted == sorted(counted)
