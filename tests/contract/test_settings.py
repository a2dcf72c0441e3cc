"""What .env.example promises is what the services read."""

import re
from pathlib import Path
from typing import Any

import pytest
from chassis.settings import ProcessSettings, SidecarSettings
from embedded.settings import EmbeddedSettings
from gpu_worker.settings import WorkerSettings
from notification.settings import NotificationSettings
from pydantic import ValidationError
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
        "webhook_encryption_keys": "x" * 44, "media_link_keys": "x" * 44,
    }  # fmt: skip
    given: dict[str, Any] = {key: text for key, text in required.items() if key in settings.model_fields}
    default = getattr(settings(**given), field)
    monkeypatch.setenv(name, value)
    assert getattr(settings(**given), field) == default


@pytest.mark.parametrize("settings", OURS)
def test_a_wrong_setting_is_told_by_its_name_and_no_secret_with_it(
    settings: type[BaseSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIE_TASKS_ADMIN_KEY", "the-admin-key")
    monkeypatch.setenv("MOVIE_TASKS_SUBMISSION_DATABASE", "postgresql://submission:the-password@127.0.0.1/submission")
    monkeypatch.setenv("MOVIE_TASKS_LOG_LEVEL", "LOUD")
    with pytest.raises(ValidationError) as caught:
        settings()
    assert "log_level" in str(caught.value).lower()
    assert "the-" not in str(caught.value)


@pytest.mark.parametrize("name", ["DAPR_API_TOKEN", "APP_API_TOKEN"])
def test_an_empty_token_lets_nobody_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("DAPR_API_TOKEN", "APP_API_TOKEN"):
        monkeypatch.setenv(token, "" if token == name else "x" * 32)
    with pytest.raises(ValidationError, match=name.lower()):
        SidecarSettings()
