"""The secrets of one laptop's platform: made at the first start, kept readable by their owner only."""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import BaseModel, Field


class Credentials(BaseModel):
    admin_key: str = Field(default_factory=lambda: secrets.token_urlsafe(32))
    dapr_api_token: str = Field(default_factory=lambda: secrets.token_urlsafe(32))
    app_api_token: str = Field(default_factory=lambda: secrets.token_urlsafe(32))
    webhook_encryption_key: str = Field(default_factory=lambda: Fernet.generate_key().decode())


def load_or_create(folder: Path) -> Credentials:
    path = folder / "credentials.json"
    if path.is_file():
        return Credentials.model_validate_json(path.read_text())
    credentials = Credentials()
    folder.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(credentials.model_dump_json(indent=2))
    return credentials
