"""A person at a browser: what the panel shows them, and everything that a page must not do meanwhile."""

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

from tests.e2e_admin.studio import APP, PASSWORD, Studio

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)
MODEL = re.compile("^Model")
PROMPT = re.compile("^Prompt")
PICTURES = os.environ.get("PICTURES")
WAIT = 25_000
"""For machines that are busy with other things, in milliseconds."""

expect.set_options(timeout=WAIT)


def chromium() -> str:
    """The browser of this machine, or the one of the npm package."""
    named = os.environ.get("CHROMIUM")
    for name in (named,) if named else ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    script = "import('@sparticuz/chromium').then(async (it) => console.log(await it.default.executablePath()))"
    unpacked = subprocess.run(["node", "-e", script], cwd=APP, capture_output=True, text=True, check=True, timeout=120)
    return unpacked.stdout.strip()


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))


@dataclass
class Person:
    studio: Studio
    page: Page
    trouble: list[str] = field(default_factory=list)
    """What the console said that is an error, and requests to anywhere but this machine."""
    tolerated: tuple[str, ...] = ()

    def watch(self) -> None:
        self.page.on("console", lambda said: self._heard(said.type, said.text))
        self.page.on("pageerror", lambda error: self._heard("error", str(error)))
        self.page.on("response", lambda answer: self._answered(answer.status, answer.url))
        self.page.on("request", lambda request: self._asked(request.url))

    def _heard(self, kind: str, text: str) -> None:
        # Of a failed request the console says no more than its status.
        if (
            kind == "error"
            and not text.startswith("Failed to load resource")
            and not any(part in text for part in self.tolerated)
        ):
            self.trouble.append(text)

    def _answered(self, status: int, url: str) -> None:
        # A preview may be asked for just as the run ends.
        over = status == 404 and "/api/v1/media/previews/" in url
        if status >= 400 and str(status) not in self.tolerated and not over:
            self.trouble.append(f"{status} for {url}")

    def _asked(self, url: str) -> None:
        if urlsplit(url).scheme in {"http", "https"} and urlsplit(url).hostname != "127.0.0.1":
            self.trouble.append(f"a request to {url}")

    def log_in(self, email: str) -> None:
        self.page.goto(f"{self.studio.url}/admin/login")
        self.page.locator("#field-email").fill(email)
        self.page.locator("#field-password").fill(PASSWORD)
        self.page.get_by_role("button", name="Login").click()
        self.page.wait_for_url(f"{self.studio.url}/admin")

    def open(self, path: str = "") -> None:
        self.page.goto(f"{self.studio.url}/admin/collections/media-tasks{path}")
        # A reload would lose it.
        self.page.evaluate("window.stillTheSamePage = true")

    def begin_task(self, model: str, prompt: str) -> None:
        """The form of a new task, with what is asked for."""
        self.open("/create")
        self.page.get_by_label(MODEL).select_option(model)
        self.page.get_by_label(PROMPT).fill(prompt)

    def save(self) -> None:
        self.page.locator("#action-save").click()

    @property
    def panel(self) -> Locator:
        return self.page.get_by_role("region", name="Media task")

    @property
    def preview(self) -> Locator:
        return self.panel.get_by_role("img", name="Preview of")

    def badge(self, task: int | None = None) -> Locator:
        where = self.panel if task is None else self.page.locator(f"td [data-media-task='{task}']")
        return where.locator("[data-media-task-status]")

    def sees(self, pattern: str, task: int | None = None) -> None:
        """Waits for what a badge may say for a moment only."""
        where = "section" if task is None else f"td [data-media-task='{task}']"
        self.page.wait_for_function(
            "([where, pattern]) => new RegExp(pattern).test(document.querySelector(where)?.textContent)",
            arg=[f"{where} [data-media-task-status]", pattern],
        )

    def thumbnail(self, task: int) -> Locator:
        return self.page.locator("tr", has=self.page.locator(f"[data-media-task='{task}']")).get_by_role("img")

    def act(self, name: str) -> None:
        self.panel.get_by_role("button", name=name).click()

    @property
    def toast(self) -> Locator:
        return self.page.locator("[data-sonner-toast]").last

    def shows_pixels(self, picture: Locator) -> None:
        expect(picture).to_be_visible()
        self.page.wait_for_function("(image) => image.complete && image.naturalWidth > 0", arg=picture.element_handle())

    def picture(self, name: str) -> None:
        """For the documentation, where a run is asked for them."""
        if PICTURES:
            with Image.open(io.BytesIO(self.page.screenshot())) as taken:
                taken.convert("RGB").save(Path(PICTURES) / f"{name}.webp", quality=88, method=6)

    def never_reloaded(self) -> bool:
        return bool(self.page.evaluate("window.stillTheSamePage === true"))

    def seen(self) -> list[dict[str, Any]]:
        """Every text that a badge has shown, and when."""
        found: list[dict[str, Any]] = self.page.evaluate("window.seenBadges")
        return found


# Before anything of the page: what its badges say and what the live feed tells it, with the time of each.
WATCHING = """
(() => {
  const now = () => performance.timeOrigin + performance.now()
  window.seenBadges = []
  window.heardEvents = []
  const look = () => {
    for (const badge of document.querySelectorAll('[data-media-task-status]')) {
      const task = badge.closest('[data-media-task]')?.dataset.mediaTask
      if (badge.lastSeen === badge.textContent) continue
      badge.lastSeen = badge.textContent
      window.seenBadges.push({ task, text: badge.textContent, at: now() })
    }
  }
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true })
  const Original = window.EventSource
  window.openedFeeds = 0
  window.EventSource = class extends Original {
    constructor(...given) {
      super(...given)
      window.openedFeeds += 1
      window.lastFeed = this
    }
    addEventListener(type, listener) {
      super.addEventListener(type, (event) => {
        window.heardEvents.push({ type, id: event.lastEventId, at: now(), data: JSON.parse(event.data) })
        listener(event)
      })
    }
  }
})()
"""


@contextmanager
def person(browser: Browser, studio: Studio, email: str, **options: Any) -> Iterator[Person]:
    """Somebody who is logged in, in a browser profile of their own. Ends with no trouble."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, **options)
    context.set_default_timeout(WAIT)
    context.add_init_script(WATCHING)
    somebody = Person(studio, context.new_page())
    somebody.watch()
    somebody.log_in(email)
    yield somebody
    context.close()
    assert not somebody.trouble, somebody.trouble
