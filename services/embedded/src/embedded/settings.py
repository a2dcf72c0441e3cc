"""Settings of the embedded way to run."""

from pathlib import Path

from chassis.settings import CommaSeparated, LogLevel
from pydantic_settings import BaseSettings, SettingsConfigDict


class EmbeddedSettings(BaseSettings):
    """Read from `MOVIE_TASKS_*`, beside every service's own settings."""

    model_config = SettingsConfigDict(env_prefix="MOVIE_TASKS_", frozen=True, hide_input_in_errors=True)

    data: Path = Path(".movie-tasks")
    """Everything the platform keeps: state, media, models, keys, logs."""
    components: Path
    """The folder of Dapr component files to use."""
    dapr_bin: Path
    """The folder that holds `daprd` and `scheduler`."""
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    log_level: LogLevel = "INFO"
    models: CommaSeparated = ("tiny-*", "mux", "concat")
    """What is offered: on a laptop, what any CPU can run."""
    webhook_private_hosts: CommaSeparated = ("127.0.0.0/8", "::1/128")
    """Private networks that webhooks may go to: this machine, unless more are named."""
