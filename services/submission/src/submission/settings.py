"""Settings of the submission service."""

from chassis.settings import ProcessSettings
from pydantic import Field, SecretStr


class SubmissionSettings(ProcessSettings):
    submission_database: str = "sqlite:///data/submission.db"
    """SQLAlchemy URL of the private tables."""
    admin_key: SecretStr = Field(min_length=16)
    """What an operator sends as X-Admin-Key."""
