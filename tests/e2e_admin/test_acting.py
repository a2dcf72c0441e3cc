"""What a person can do with a task, and how the page answers."""

import httpx
from playwright.sync_api import expect

from tests.e2e_admin.browser import Person
from tests.e2e_admin.studio import Studio
from tests.e2e_admin.test_watching import SLOW


def test_a_running_task_is_cancelled_and_begun_again(
    editor: Person, studio: Studio, project: int, http: httpx.Client
) -> None:
    task = studio.ask(http, project, title="To be stopped", **SLOW)
    editor.open(f"/{task}")
    editor.sees("Processing")
    expect(editor.panel.get_by_role("button", name="Retry")).to_be_disabled()
    editor.act("Cancel")
    expect(editor.toast).to_contain_text("cancelled" if studio.status(http, task) == "cancelled" else "told to stop")
    expect(editor.badge()).to_have_text("Cancelled")
    expect(editor.panel.get_by_role("button", name="Cancel")).to_be_disabled()
    editor.act("Retry")
    expect(editor.toast).to_contain_text("asked for again")
    expect(editor.badge()).to_have_text("Done", timeout=120_000)
    assert editor.never_reloaded()


def test_the_priority_of_a_waiting_task_is_raised(
    editor: Person, studio: Studio, project: int, http: httpx.Client
) -> None:
    for _ in range(2):
        studio.ask(http, project, **SLOW)
    waiting = studio.ask(http, project, **SLOW)
    editor.open(f"/{waiting}")
    expect(editor.badge()).to_have_text("Pending")
    editor.panel.get_by_label("Priority").select_option("high")
    expect(editor.toast).to_contain_text("priority is high")
    assert studio.read(http, waiting)["priority"] == "high"
    editor.act("Cancel")
    expect(editor.badge()).to_have_text("Cancelled")


def test_a_duplicate_is_another_task_with_another_seed(
    editor: Person, studio: Studio, project: int, http: httpx.Client
) -> None:
    task = studio.ask(http, project, params={"seed": 7, "steps": 4})
    studio.until(http, task, "done")
    editor.open(f"/{task}")
    editor.act("Duplicate with a new seed")
    editor.page.wait_for_url(lambda url: not url.endswith(f"/{task}"))
    copy = int(editor.page.url.rpartition("/")[2])
    expect(editor.badge()).to_have_text("Done")
    assert studio.read(http, copy)["params"] == {"steps": 4}


def test_a_person_gets_about_by_keyboard(editor: Person, studio: Studio, project: int, http: httpx.Client) -> None:
    task = studio.ask(http, project)
    studio.until(http, task, "done")
    editor.open(f"/{task}")
    refresh = editor.panel.get_by_role("button", name="Refresh")
    refresh.focus()
    editor.page.keyboard.press("Enter")
    expect(editor.toast).to_contain_text("what Movie Tasks says")
    for control in ("button", "combobox"):
        for found in editor.panel.get_by_role(control).all():
            assert found.evaluate("(it) => it.textContent.trim() || it.labels?.length || it.ariaLabel")
