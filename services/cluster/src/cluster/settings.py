"""Settings of the cluster on one machine."""

from pathlib import Path

from chassis.settings import CommaSeparated, LogLevel
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClusterSettings(BaseSettings):
    """Read from `MOVIE_TASKS_CLUSTER_*`."""

    model_config = SettingsConfigDict(env_prefix="MOVIE_TASKS_CLUSTER_", frozen=True, hide_input_in_errors=True)

    data: Path = Path(".movie-tasks/cluster")
    """Everything the cluster keeps: the broker's log, Postgres, objects, secrets, logs."""
    components: Path = Path("charts/movie-tasks/dapr")
    create_topics: Path = Path("dapr-components/topics/create_topics.py")
    dapr_bin: Path = Field(validation_alias="MOVIE_TASKS_DAPR_BIN")
    """The folder that holds `daprd` and `scheduler`."""
    programs: Path
    """The folder that holds Kafka's jars, the S3 server and the gateway."""
    postgres_bin: Path | None = None
    """The folder that holds `postgres`, `initdb` and `psql`; looked for when left out."""
    host: str = "127.0.0.1"
    """Where broker, Postgres and the S3 server listen."""
    port: int = 0
    """Where the gateway listens. 0 takes a free one."""
    replicas: int = Field(default=1, ge=1)
    """Of submission, scheduling, storage and notification."""
    image_workers: int = Field(default=1, ge=0)
    video_workers: int = Field(default=1, ge=0)
    audio_workers: int = Field(default=1, ge=0)
    launcher: tuple[str, ...] = ()
    """What stands between `python -m` and a service's module: a program that starts it in its own way."""
    models: CommaSeparated = ("tiny-*", "mux", "concat")
    log_level: LogLevel = "INFO"
    services: dict[str, str] = {}
    """More settings for every service, by their names without `MOVIE_TASKS_`; a JSON object."""
