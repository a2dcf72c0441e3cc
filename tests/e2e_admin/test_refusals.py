"""What is refused, by the form, by the service and to whom it does not belong."""

import httpx
from playwright.sync_api import Browser, expect

from tests.e2e_admin.browser import Person, person
from tests.e2e_admin.conftest import STRANGER
from tests.e2e_admin.studio import Studio


def test_the_form_says_beside_the_field_what_does_not_fit(editor: Person) -> None:
    editor.tolerated = ("400",)
    editor.begin_task("tiny-image", "a red circle")
    editor.page.get_by_text("More parameters").click()
    editor.page.get_by_label("Steps", exact=True).fill("500")
    steps = editor.page.locator("[data-media-task-parameter='steps']")
    expect(steps.get_by_role("alert")).to_have_text("Must be from 1 to 50.")
    editor.save()
    expect(editor.toast).to_contain_text("params.steps")
    expect(steps.get_by_role("alert")).to_have_text("Must be from 1 to 50.")
    steps.evaluate("(it) => it.scrollIntoView({ block: 'center' })")
    editor.page.wait_for_timeout(1000)  # until the toast has come in
    editor.picture("invalid")
    assert editor.page.url.endswith("/create")
    editor.page.get_by_text("As JSON").click()
    editor.page.get_by_label("Parameters as JSON").fill('{"steps": 4')
    expect(editor.page.get_by_text("This is no JSON")).to_be_visible()
    editor.page.get_by_label("Parameters as JSON").fill('{"steps": 4}')
    expect(editor.page.get_by_label("Steps", exact=True)).to_have_value("4")
    editor.save()
    expect(editor.badge()).to_have_text("Done")


def test_a_parameter_that_only_the_server_refuses_is_named_and_can_be_put_right(editor: Person) -> None:
    """As when the catalog has changed since the form was opened."""
    editor.tolerated = ("400",)
    refuse = (
        '{"errors":[{"name":"ValidationError","message":"The following field is invalid: Steps","data":'
        '{"collection":"media-tasks","errors":[{"path":"params.steps","message":"Must be from 1 to 10."}]}}]}'
    )
    editor.begin_task("tiny-image", "a red circle")
    editor.page.get_by_text("More parameters").click()
    editor.page.get_by_label("Steps", exact=True).fill("12")
    saving = "**/api/media-tasks?*"
    editor.page.route(saving, lambda route: route.fulfill(status=400, content_type="application/json", body=refuse))
    editor.save()
    steps = editor.page.locator("[data-media-task-parameter='steps']")
    expect(steps.get_by_role("alert")).to_have_text("Must be from 1 to 10.")
    editor.page.unroute(saving)
    editor.page.get_by_label("Steps", exact=True).fill("9")
    editor.save()
    expect(editor.badge()).to_have_text("Done")
    expect(editor.page.get_by_text("9", exact=True)).to_be_visible()


def test_a_request_that_the_service_refuses_says_why(
    editor: Person, studio: Studio, project: int, http: httpx.Client
) -> None:
    # Payload takes a blank tag; the service does not.
    task = studio.ask(http, project, title="A blank tag", tags=[" "])
    editor.open(f"/{task}")
    expect(editor.badge()).to_have_text("Rejected")
    alert = editor.panel.get_by_role("alert")
    expect(alert).to_contain_text("The request does not fit the catalog")
    expect(alert).to_contain_text("tags.0")
    expect(alert).to_contain_text("Retry then sends the request again")
    editor.picture("rejected")
    expect(editor.panel.get_by_role("button", name="Retry")).to_be_enabled()
    expect(editor.panel.get_by_role("button", name="Cancel")).to_be_disabled()


def test_an_input_is_named_as_the_model_takes_it(editor: Person) -> None:
    editor.tolerated = ("400",)
    editor.begin_task("tiny-image-edit", "a red circle")
    slot = editor.page.locator("[data-media-task-input='image']")
    expect(slot).to_contain_text("The picture to start from.")
    editor.save()
    expect(editor.page.get_by_text("The input image (image) must be given.")).to_be_visible()
    assert editor.page.url.endswith("/create")


def test_whoever_is_of_another_project_sees_nothing(
    browser: Browser, studio: Studio, project: int, foreign_project: int, http: httpx.Client
) -> None:
    task = studio.ask(http, project, title="Not for everybody")
    studio.until(http, task, "done")
    with person(browser, studio, STRANGER) as stranger:
        stranger.tolerated = ("404",)
        stranger.open()
        expect(stranger.page.get_by_role("heading", name="No Results.")).to_be_visible()
        expect(stranger.page.get_by_text("Not for everybody")).to_have_count(0)
        stranger.open(f"/{task}")
        expect(stranger.panel).to_have_count(0)
        for path in (f"{task}/result", f"models?project={project}", f"live?project={project}"):
            answer = stranger.page.request.get(f"{studio.url}/api/media-tasks/{path}", max_redirects=0)
            assert answer.status == 404, path
