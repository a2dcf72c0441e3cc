"""Settings of the storage service."""

from datetime import timedelta
from pathlib import Path

from chassis.settings import Duration, ProcessSettings
from pydantic import Field, SecretStr


class StorageSettings(ProcessSettings):
    storage_database: str = "sqlite:///data/storage.db"
    """SQLAlchemy URL of the private tables."""
    storage_scratch: Path = Path("data/storage-scratch")
    """Where a file lies while it is checked."""
    media_link_keys: SecretStr = Field(min_length=44)
    """Fernet keys for links that open one file for a while, comma separated; the first makes them, all open them."""
    preview_link_keys: SecretStr | None = Field(default=None, min_length=44)
    """Fernet keys for links to previews, comma separated, which notification makes with the first; without, no link
    opens."""
    storage_largest_upload: int = 200 * 1024 * 1024
    """Bytes."""
    storage_at_once: int = 4
    """How many results are checked and stored at the same time."""
    storage_hold: Duration = timedelta(seconds=20)
    """How long a result that is being stored is left to its storer after that was last heard of."""
    storage_keep_staging: Duration = timedelta(hours=1)
    """How long a file may lie in staging before the sweep asks whether anybody still needs it."""
