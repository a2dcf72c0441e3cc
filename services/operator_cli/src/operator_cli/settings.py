"""Where the platform is and what opens it: from the environment, and never from the command line.

What stands on a command line is seen by everybody on the machine (`ps`), and stays in the shell's history.
"""

import getpass

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CliSettings(BaseSettings):
    """Read from `MOVIE_TASKS_*`."""

    model_config = SettingsConfigDict(env_prefix="MOVIE_TASKS_", frozen=True, hide_input_in_errors=True)

    url: str = ""
    """Where the API is, such as https://tasks.example.com."""
    admin_key: SecretStr = SecretStr("")
    """What an operator sends as X-Admin-Key."""
    key: SecretStr = SecretStr("")
    """A project's API key, for the smoke test."""
    operator: str = Field(default_factory=getpass.getuser)
    """Under which name the audit keeps what is done; by default the user's on this machine."""
    timeout_seconds: float = Field(default=60, gt=0, le=600)
    """How long an answer is waited for."""
