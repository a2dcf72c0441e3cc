"""The secrets of one laptop's platform."""

import secrets
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import BaseModel, Field

from embedded import secret_file


def _token() -> str:
    return secrets.token_urlsafe(32)


def _fernet_key() -> str:
    return Fernet.generate_key().decode()


class Credentials(BaseModel):
    admin_key: str = Field(default_factory=_token)
    dapr_api_token: str = Field(default_factory=_token)
    app_api_token: str = Field(default_factory=_token)
    webhook_encryption_key: str = Field(default_factory=_fernet_key)
    media_link_key: str = Field(default_factory=_fernet_key)
    preview_link_key: str = Field(default_factory=_fernet_key)


def load_or_create(folder: Path) -> Credentials:
    return secret_file.load_or_create(folder / "credentials.json", Credentials)
