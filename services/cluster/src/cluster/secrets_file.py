"""The secrets of one machine's cluster."""

import secrets
from pathlib import Path

from contracts.topics import App
from cryptography.fernet import Fernet
from embedded import secret_file
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
    media_link_key: str = Field(default_factory=lambda: Fernet.generate_key().decode())
    preview_link_key: str = Field(default_factory=lambda: Fernet.generate_key().decode())
    broker_password: str = Field(default_factory=_token)
    postgres_password: str = Field(default_factory=_token)
    database_passwords: dict[str, str]
    s3_access_key: str = Field(default_factory=lambda: secrets.token_hex(10))
    s3_secret_key: str = Field(default_factory=_token)
    tokens: dict[App, AppTokens] = Field(default_factory=lambda: {app: AppTokens() for app in App})


def load_or_create(folder: Path, databases: tuple[str, ...]) -> ClusterSecrets:
    passwords = {name: _token() for name in databases}
    return secret_file.load_or_create(folder / "secrets.json", ClusterSecrets, database_passwords=passwords)
