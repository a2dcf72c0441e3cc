"""Settings of the submission service."""

from datetime import timedelta

from chassis.settings import Duration, ProcessSettings
from pydantic import Field, SecretStr


class SubmissionSettings(ProcessSettings):
    submission_database: str = "sqlite:///data/submission.db"
    """SQLAlchemy URL of the private tables."""
    admin_key: SecretStr = Field(min_length=16)
    """What an operator sends as X-Admin-Key."""
    graph_tasks: int = Field(default=256, ge=1, le=1000)
    """How many tasks a graph may have."""
    series_per_project: int = Field(default=1000, ge=0)
    """How many series a project may have that have not been ended."""
    series_shortest_interval: Duration = timedelta(seconds=60)
    """The shortest `every_seconds` of a series."""
    fleet_pods: str | None = None
    """Which pods of this process's namespace are workers, as a label selector; None where there is no Kubernetes."""
    fleet_nodes: bool = False
    """Whether to look at the cluster's nodes, too, which takes a right of the cluster's."""
