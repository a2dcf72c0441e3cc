import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.platform import Platform


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny models are made, once per test run."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One embedded platform for all tests that leave it running."""
    started = Platform(tmp_path_factory.mktemp("platform"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
def own_platform(tmp_path: Path) -> Iterator[Callable[[], Platform]]:
    """Platforms that a test may break."""
    started: list[Platform] = []

    def start() -> Platform:
        own = Platform(tmp_path / f"platform-{len(started)}")
        started.append(own)
        own.start()
        return own

    yield start
    for own in started:
        own.stop()


@pytest.fixture(scope="session")
def dapr_bin() -> Path:
    return Path(os.environ["MOVIE_TASKS_DAPR_BIN"])
