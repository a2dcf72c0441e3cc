"""What .env.example promises is what the services read."""

import re
from pathlib import Path
from typing import Any

import pytest
from chassis.settings import ProcessSettings, SidecarSettings
from embedded.settings import EmbeddedSettings
from gpu_worker.settings import WorkerSettings
from notification.settings import NotificationSettings
from pydantic_settings import BaseSettings
from scheduling.settings import SchedulingSettings
from storage.settings import StorageSettings
from submission.settings import SubmissionSettings

EXAMPLE = (Path(__file__).parents[2] / ".env.example").read_text()
OURS: tuple[type[BaseSettings], ...] = (
    EmbeddedSettings,
    NotificationSettings,
    ProcessSettings,
    SchedulingSettings,
    StorageSettings,
    SubmissionSettings,
    WorkerSettings,
)
READ = {f"MOVIE_TASKS_{name}".upper() for settings in OURS for name in settings.model_fields} | {
    name.upper() for name in SidecarSettings.model_fields
}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b(?:MOVIE_TASKS|DAPR|APP)_[A-Z_]+\b", EXAMPLE))))
def test_every_setting_that_is_named_exists(name: str) -> None:
    assert name in READ


@pytest.mark.parametrize("line", re.findall(r"^MOVIE_TASKS_.*$", EXAMPLE, re.MULTILINE))
def test_what_is_set_is_the_default(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, value = line.partition("=")
    field = name.removeprefix("MOVIE_TASKS_").lower()
    [settings, *_] = [one for one in OURS if field in one.model_fields]
    required = {
        "components": "x", "dapr_bin": "x", "media_url": "file:///x", "admin_key": "x" * 16, "worker_medium": "image",
        "webhook_encryption_keys": "x" * 44,
    }  # fmt: skip
    given: dict[str, Any] = {key: text for key, text in required.items() if key in settings.model_fields}
    default = getattr(settings(**given), field)
    monkeypatch.setenv(name, value)
    assert getattr(settings(**given), field) == default
