"""A task from the form to its result, as pages show it without being loaded again."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e_admin.browser import PROMPT, Person, person
from tests.e2e_admin.conftest import EDITOR
from tests.e2e_admin.studio import Studio

SLOW: dict[str, Any] = {"model": "tiny-image", "params": {"steps": 50, "width": 256, "height": 256}}


def percents(somebody: Person, task: int | None = None) -> list[int]:
    """What the badge of one task, or of the only one, has counted through."""
    texts = [seen["text"] for seen in somebody.seen() if task is None or seen["task"] == str(task)]
    return [int(found[1]) for text in texts if (found := re.fullmatch(r"Processing (\d+) %", text))]


def test_a_task_is_made_by_the_form_and_watched_to_its_result(editor: Person) -> None:
    editor.begin_task("tiny-image", "a red circle on a white ground")
    editor.page.get_by_label("Title").fill("The first circle")
    editor.page.get_by_text("More parameters").click()
    editor.page.get_by_label("Steps", exact=True).fill("50")
    editor.page.get_by_role("button", name="Draw a new seed").click()
    seed = editor.page.get_by_label("Seed", exact=True).input_value()
    assert 0 <= int(seed) <= 4294967295
    editor.page.evaluate("scrollTo(0, 0)")
    editor.picture("form")
    editor.save()
    expect(editor.badge()).to_have_text("Done")
    counted = percents(editor)
    assert len(set(counted)) >= 3, counted
    assert counted == sorted(counted)
    assert editor.never_reloaded()
    editor.shows_pixels(editor.panel.get_by_role("img"))
    expect(editor.panel).to_contain_text("128 × 128")
    expect(editor.page.get_by_label(PROMPT)).not_to_be_editable()
    expect(editor.page.get_by_text(seed)).to_be_visible()
    editor.page.wait_for_timeout(5000)  # until the toast has gone
    editor.picture("image")


def test_the_list_follows_its_tasks_and_shows_what_they_made(
    editor: Person, studio: Studio, project: int, http: httpx.Client
) -> None:
    made = [studio.ask(http, project, prompt=f"{colour} circle", model="tiny-image") for colour in ("blue", "green")]
    slow = [studio.ask(http, project, title=title, **SLOW) for title in ("A ball rolls", "Rain falls")]
    editor.open()
    editor.sees(r"Processing [2-9]\d %", slow[0])
    editor.picture("list")
    for task in (*made, *slow):
        expect(editor.badge(task)).to_have_text("Done", timeout=120_000)
        editor.shows_pixels(editor.thumbnail(task))
    assert len(set(percents(editor, slow[1]))) >= 3
    assert editor.never_reloaded()
    assert editor.page.evaluate("window.openedFeeds") == 1
    editor.page.get_by_role("link", name="Rain falls").click()
    expect(editor.badge()).to_have_text("Done")


@pytest.mark.parametrize("medium", ["video", "audio"])
def test_a_clip_and_a_sound_can_be_played(
    editor: Person, studio: Studio, project: int, http: httpx.Client, medium: str
) -> None:
    prompt = "a ball rolls to the right" if medium == "video" else "three short high sine beeps"
    task = studio.ask(http, project, model=f"tiny-{medium}", prompt=prompt, title=prompt.capitalize())
    studio.until(http, task, "done")
    editor.open(f"/{task}")
    player = editor.panel.locator(medium)
    editor.page.wait_for_function(
        "(player) => player.duration > 0 && player.readyState >= 1", arg=player.element_handle()
    )
    expect(player).to_have_attribute("controls", "")
    expect(editor.panel).to_contain_text("Duration")
    editor.shows_pixels(editor.panel.get_by_role("img")) if medium == "audio" else None
    editor.picture(medium)


def test_it_looks_right_in_the_dark(browser: Browser, studio: Studio, project: int, http: httpx.Client) -> None:
    task = studio.ask(http, project, title="By night", **SLOW)
    with person(browser, studio, EDITOR, color_scheme="dark") as editor:
        editor.open(f"/{task}")
        editor.sees(r"Processing [2-9]\d %")
        editor.shows_pixels(editor.preview)
        editor.picture("dark")
        assert editor.page.evaluate("document.documentElement.dataset.theme") == "dark"
        expect(editor.badge()).to_have_text("Done", timeout=120_000)
