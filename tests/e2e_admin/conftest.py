import secrets
from collections.abc import Iterator

import httpx
import pytest
from embedded.processes import free_ports
from playwright.sync_api import Browser, sync_playwright

from tests.e2e_admin.browser import Person, launch, person
from tests.e2e_admin.studio import Studio
from tests.integration.platform import SETTINGS, Platform

EDITOR = "editor@example.com"
STRANGER = "stranger@example.com"


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    port = free_ports(1)[0]
    settings = {
        **SETTINGS,
        "MOVIE_TASKS_CORS_ORIGINS": f"http://127.0.0.1:{port}",
        # Tiny models are done within seconds.
        "MOVIE_TASKS_WORKER_PREVIEW_EVERY": "0.2",
    }
    platform = Platform(tmp_path_factory.mktemp("platform"), settings=settings)
    platform.start()
    started = Studio(platform.access, port, tmp_path_factory.mktemp("studio"))
    try:
        started.start()
        yield started
    finally:
        started.stop()
        platform.stop()


@pytest.fixture(scope="session")
def project(studio: Studio) -> int:
    return studio.add_project(f"film-{secrets.token_hex(2)}", "Film studio", EDITOR)


@pytest.fixture(scope="session")
def foreign_project(studio: Studio) -> int:
    return studio.add_project(f"other-{secrets.token_hex(2)}", "Another studio", STRANGER)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = launch(playwright)
        yield launched
        launched.close()


@pytest.fixture
def http(studio: Studio, project: int) -> Iterator[httpx.Client]:
    """The REST API, as the editor uses it."""
    with studio.client(EDITOR) as client:
        yield client


@pytest.fixture
def editor(browser: Browser, studio: Studio, project: int) -> Iterator[Person]:
    with person(browser, studio, EDITOR) as somebody:
        yield somebody
