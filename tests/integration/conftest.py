from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny models are made, once per test run."""
    return tmp_path_factory.mktemp("models")
