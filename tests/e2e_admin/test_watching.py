"""A task from the form to its result, as the page shows it without being loaded again."""

import re

from playwright.sync_api import expect

from tests.e2e_admin.browser import Person


def test_a_task_is_made_by_the_form_and_watched_to_its_result(editor: Person) -> None:
    editor.begin_task("tiny-image", "a red circle")
    editor.page.get_by_text("More parameters").click()
    editor.page.get_by_label("Steps", exact=True).fill("50")
    editor.save()
    expect(editor.badge()).to_have_text("Done")
    shown = [seen["text"] for seen in editor.seen()]
    assert len({text for text in shown if re.fullmatch(r"Processing \d+ %", text)}) >= 3, shown
    picture = editor.panel.get_by_role("img")
    expect(picture).to_be_visible()
    editor.page.wait_for_function("document.querySelector('.media-task-result img')?.naturalWidth > 0")
