"""The secrets of one machine's cluster: made at the first start, kept readable by their owner only."""

import os
import secrets
from pathlib import Path

from contracts.topics import App
from cryptography.fernet import Fernet
from pydantic import BaseModel, Field


def _token() -> str:
    return secrets.token_urlsafe(32)


class AppTokens(BaseModel):
    """What an app shows to its sidecar, and the sidecar to it."""

    dapr: str = Field(default_factory=_token)
    app: str = Field(default_factory=_token)


class ClusterSecrets(BaseModel):
    admin_key: str = Field(default_factory=_token)
    webhook_encryption_key: str = Field(default_factory=lambda: Fernet.generate_key().decode())
    broker_password: str = Field(default_factory=_token)
    postgres_password: str = Field(default_factory=_token)
    database_passwords: dict[str, str] = Field(default_factory=dict)
    s3_access_key: str = Field(default_factory=lambda: secrets.token_hex(10))
    s3_secret_key: str = Field(default_factory=_token)
    tokens: dict[App, AppTokens] = Field(default_factory=lambda: {app: AppTokens() for app in App})


def load_or_create(folder: Path, databases: tuple[str, ...]) -> ClusterSecrets:
    path = folder / "secrets.json"
    if path.is_file():
        return ClusterSecrets.model_validate_json(path.read_text())
    made = ClusterSecrets(database_passwords={name: _token() for name in databases})
    folder.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made.model_dump_json(indent=2))
    return made
